"""MaskCLIP+ on PASCAL Context, transductive zero-shot as published: 10 classes have no labels, only words and images.

Their labels are those of MaskCLIP up to iteration 3999, and then the own ones of the network, up to 40000.
"""

_base_ = ["./plus_context.py"]
from omgseg import recipes

unseen = [
    "cow",
    "motorbike",
    "sofa",
    "cat",
    "boat",
    "fence",
    "bird",
    "tv monitor",
    "keyboard",
    "airplane",
]
max_iters = 40000

model = dict(clip_guided=(1, 3999), self_training=(4000, None), unlabelled=unseen, background="background")
train_dataloader = dict(
    dataset=dict(
        background=True,
        pipeline=[
            *recipes.LOAD,
            dict(type="HideClasses", names=unseen),
            *recipes.augment((0.67, 2.67)),
            *recipes.PACK,
        ],
    )
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(type="PolyLR", power=0.9, by_epoch=False, begin=500, end=max_iters, eta_min=1e-6),
]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
val_dataloader = dict(dataset=dict(background=True))
val_evaluator = [dict(type="SemanticMetric", unseen=unseen)]
test_dataloader = val_dataloader
test_evaluator = val_evaluator
