"""Stage 2 of a small OV-SAM on the toy world's images, after toy_sam2clip.py: masks and names of things and stuff."""

_base_ = ["./toy_ov_sam.py"]
from omgseg import recipes

max_iters = 600

model = dict(sam2clip="work_dirs/toy_sam2clip/iter_800.pth", train_cfg=dict(num_prompts=16, num_points=1024))
train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=True),
    batch_sampler=dict(type="SourceBatchSampler"),
    dataset=dict(
        type="JointDataset",
        datasets=dict(
            coco=recipes.train_images(
                "CocoPanopticDataset",
                _base_.toy_root + "data/coco/",
                **recipes.coco_panoptic_files("train2017"),
                jitter=(0.8, 1.25),
            )
            | dict(image_size=(_base_.image_size, _base_.image_size)),
        ),
    ),
)
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=2e-3, weight_decay=0.05),
    # as in EdgeSAM's second stage: a decoder that learns as fast as new parts forgets
    paramwise_cfg=dict(custom_keys=dict(mask_decoder=dict(lr_mult=0.2), label_mlp=dict(lr_mult=1.0))),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=50, end=max_iters, eta_min=1e-5),
]
train_cfg = dict(type="IterBasedTrainLoop", max_iters=max_iters, val_interval=10 * max_iters)
default_hooks = dict(logger=dict(interval=50), checkpoint=dict(by_epoch=False, interval=max_iters))
log_processor = dict(by_epoch=False)
