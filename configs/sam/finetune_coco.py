"""Fine-tune a published SAM on COCO's panoptic segments: clicks and boxes on every thing and stuff.

``--cfg-options load_from=sam_vit_b_01ec64.pth`` names the weights, ``model.freeze_image_encoder=False`` trains the
image encoder, too. Other datasets: exchange ``train_dataloader.dataset``; the masks of any of them are objects.
"""

_base_ = ["../_base_/models/sam_vit_b.py", "../_base_/runtime.py"]
from omgseg import recipes

__root = "{{$OMGSEG_DATA:data}}/coco/"
max_iters = 20_000

load_from = "sam_vit_b_01ec64.pth"
model = dict(freeze_image_encoder=True, train_cfg=dict(max_objects=16, num_clicks=8))

train_dataloader = dict(
    batch_size=2,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type="InfiniteSampler", shuffle=True),
    dataset=recipes.train_images("CocoPromptDataset", __root, **recipes.coco_panoptic_files("train2017")),
)
# AdamW as in the paper, whose learning rate of 8e-4 is for 256 images and weights from nothing
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=1e-5, betas=(0.9, 0.999), weight_decay=0.1),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=250),
    dict(
        type="MultiStepLR",
        by_epoch=False,
        milestones=[int(max_iters * 2 / 3), int(max_iters * 0.95)],
        gamma=0.1,
    ),
]
train_cfg = dict(type="IterBasedTrainLoop", max_iters=max_iters, val_interval=10 * max_iters)
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=5000))
log_processor = dict(by_epoch=False)
