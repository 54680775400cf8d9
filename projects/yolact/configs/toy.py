"""A small YOLACT, trained from nothing on the toy world's images.

python tools/train.py projects/yolact/configs/toy.py
"""

_base_ = ["./yolact_r50_coco.py"]
from omgseg import recipes

toy_root = "{{$OMGSEG_TOY:work_dirs/demo}}/"
data_root = toy_root + "data/coco/"
image_size = 128
max_iters = 1000

model = dict(
    backbone=dict(_delete_=True, depth=18, base_channels=16),
    num_classes=24,
    image_size=image_size,
    scales=[[20, 32], [32, 44], [44, 56], [56, 72], [72, 100]],
    square_anchors=False,
    channels=64,
    prototypes=16,
    vocabulary=None,
)

__files = dict(data_root=data_root, vocabulary=None, image_size=(image_size, image_size))
train_dataloader = dict(
    batch_size=8,
    num_workers=0,
    persistent_workers=False,
    # The toy world has no file of training instances: its panoptic one, of which only things are learned.
    dataset=recipes.train_images(
        "CocoPanopticDataset",
        data_root,
        jitter=(0.8, 1.25),
        **recipes.coco_panoptic_files("train2017"),
        image_size=(image_size, image_size),
        _delete_=True,
    ),
)
optim_wrapper = dict(
    optimizer=dict(
        _delete_=True,
        type="timm.optim.muon.Muon",
        lr=8e-3,
        weight_decay=0.05,
        nesterov=True,
        betas=(0.9, 0.98),
    ),
    clip_grad=dict(max_norm=5.0),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=50, end=max_iters, eta_min=1e-5),
]
train_cfg = dict(max_iters=max_iters, val_interval=10 * max_iters)
default_hooks = dict(logger=dict(interval=50), checkpoint=dict(interval=max_iters))

__square = dict(type="Resize", scale=(image_size, image_size), keep_ratio=False)
val_dataloader = dict(
    num_workers=0,
    dataset=dict(**__files, pipeline=[dict(type="LoadFrames"), __square, dict(type="PackClip")]),
)
val_evaluator = [dict(type="CocoInstanceMetric", ann_file=data_root + "annotations/instances_val2017.json")]
test_dataloader = val_dataloader
test_evaluator = val_evaluator
