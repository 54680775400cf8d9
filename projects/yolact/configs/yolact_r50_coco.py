"""YOLACT-550 with ResNet-50 on COCO's instances, as published: 800,000 iterations of 8 images.

Weights: yolact_resnet50_54_800000.pth (MIT). A training starts from torchvision's ImageNet weights:
--cfg-options model.backbone.init_cfg.checkpoint=resnet50-0676ba61.pth
"""

_base_ = ["../../../configs/_base_/datasets/coco_instance.py", "../../../configs/_base_/runtime.py"]
custom_imports = dict(imports=["omgseg.projects.yolact"])

image_size = 550
max_iters = 800000

model = dict(
    type="Yolact",
    backbone=dict(depth=50, init_cfg=dict(type="Pretrained", checkpoint="resnet50-0676ba61.pth")),
    num_classes=80,
    image_size=image_size,
    vocabulary="coco_panoptic",
)

square = dict(type="Resize", scale=(image_size, image_size), keep_ratio=False)
train_dataloader = dict(
    batch_size=8,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type="InfiniteSampler", shuffle=True),
    dataset=dict(
        _base_.coco_instance_train,
        image_size=(image_size, image_size),
        pipeline=[
            dict(type="LoadFrames"),
            dict(type="LoadSegments"),
            dict(square, masks=True),
            dict(type="LargeScaleJitter", ratio_range=(0.5, 2.0)),
            dict(type="RandomFlip"),
            dict(type="PackClip"),
        ],
    ),
)
optim_wrapper = dict(
    type="OptimWrapper", optimizer=dict(type="SGD", lr=1e-3, momentum=0.9, weight_decay=5e-4)
)
auto_scale_lr = dict(enable=False, base_batch_size=8)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.1, by_epoch=False, begin=0, end=500),
    dict(
        type="MultiStepLR",
        by_epoch=False,
        begin=0,
        end=max_iters,
        milestones=[280000, 600000, 700000, 750000],
        gamma=0.1,
    ),
]
train_cfg = dict(type="IterBasedTrainLoop", max_iters=max_iters, val_interval=20000)
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=20000))
log_processor = dict(by_epoch=False)

val_dataloader = dict(
    _base_.coco_instance_test_dataloader,
    dataset=dict(
        _base_.coco_instance_test_dataloader.dataset,
        image_size=(image_size, image_size),
        pipeline=[dict(type="LoadFrames"), square, dict(type="PackClip")],
    ),
)
val_evaluator = [_base_.coco_instance_evaluator]
val_cfg = dict(type="ValLoop")
test_dataloader = val_dataloader
test_evaluator = val_evaluator
test_cfg = dict(type="TestLoop")
