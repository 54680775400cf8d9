"""MaskCLIP+ on PASCAL Context without any annotation: MaskCLIP's labels for 4000 iterations, as published."""

_base_ = ["./_base_/plus.py", "../../../configs/_base_/datasets/pascal_context.py"]
from omgseg import recipes

max_iters = 4000

model = dict(clip_guided=(1, None))
# The published scales are for the short side, 0.5 to 2 times that of the crop; here for the long side of a 4:3 image.
train_dataloader = dict(
    dataset=dict(
        _base_.pascal_context_train,
        image_size=(480, 480),
        pipeline=[dict(type="LoadFrames"), *recipes.augment((0.67, 2.67)), *recipes.PACK],
    )
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.001, by_epoch=False, begin=0, end=200),
    dict(type="PolyLR", power=0.9, by_epoch=False, begin=200, end=max_iters, eta_min=1e-6),
]
train_cfg = dict(type="IterBasedTrainLoop", max_iters=max_iters, val_interval=max_iters)
default_hooks = dict(checkpoint=dict(interval=2000))
val_dataloader = _base_.pascal_context_test_dataloader
val_evaluator = [_base_.pascal_context_evaluator]
test_dataloader = val_dataloader
test_evaluator = val_evaluator
