"""MaskCLIP+ on COCO-Stuff, transductive zero-shot as published: 15 classes have no labels, only words and images.

Their labels are those of MaskCLIP up to iteration 7999, and then the own ones of the network, up to 80000.
"""

_base_ = ["./plus_stuff.py"]
from omgseg import recipes

unseen = [
    "cow",
    "giraffe",
    "suitcase",
    "frisbee",
    "skateboard",
    "carrot",
    "scissors",
    "cardboard",
    "clouds",
    "grass",
    "playing field",
    "river",
    "road",
    "tree",
    "concrete wall",
]
max_iters = 80000

model = dict(clip_guided=(1, 7999), self_training=(8000, None), unlabelled=unseen)
train_dataloader = dict(
    dataset=dict(
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
val_evaluator = [dict(type="SemanticMetric", unseen=unseen)]
test_evaluator = val_evaluator
