"""MaskCLIP+ on the toy world, transductive zero-shot: labels of all classes but the novel things.

Half of the iterations with MaskCLIP's labels for these, half with the network's own.
"""

_base_ = ["./toy_plus.py"]
from omgseg import recipes
from omgseg.toy.categories import NOVEL_THINGS as __novel

max_iters = 300
unseen = list(__novel)

model = dict(clip_guided=(1, max_iters // 2), self_training=(max_iters // 2 + 1, None), unlabelled=unseen)
train_dataloader = dict(
    dataset=dict(
        data_prefix=dict(seg="masks/"),
        pipeline=[
            *recipes.LOAD,
            dict(type="HideClasses", names=unseen),
            *_base_.augmentation,
            *recipes.PACK,
        ],
    )
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=20),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=20, end=max_iters, eta_min=1e-5),
]
train_cfg = dict(max_iters=max_iters, val_interval=10 * max_iters)
default_hooks = dict(checkpoint=dict(interval=max_iters))
val_evaluator = [dict(type="SemanticMetric", unseen=unseen)]
test_evaluator = val_evaluator
