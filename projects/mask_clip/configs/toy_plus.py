"""MaskCLIP+ on the toy world without any annotation: OMG-Seg's toy encoder and pixel decoder learn what MaskCLIP says.

toy_proof.py makes the images and the CLIP, and trains this config.
"""

_base_ = ["../../../configs/toy/joint.py"]
from omgseg import recipes

custom_imports = dict(imports=["omgseg.toy", "omgseg.projects.mask_clip"])

max_iters = 150
__root = _base_.toy_root + "mask_clip/"
__files = dict(type="MaskFolderDataset", vocabulary=__root + "classes.json", image_size=_base_.image_size)
augmentation = recipes.augment((0.8, 1.25))

model = dict(
    _delete_=True,
    type="MaskClipPlus",
    clip=dict(
        model_name="omgseg_toy",
        pretrained=_base_.clip_weights,
        templates="photo",
        cache_dir=_base_.toy_root + "cache",
    ),
    image_encoder=_base_.model.image_encoder,
    pixel_decoder=_base_.model.pixel_decoder,
    clip_guided=(1, None),
    denoising=0.5,
    smoothing=1.0,
)
train_dataloader = dict(
    batch_size=4,
    dataset=dict(
        _delete_=True,
        **__files,
        data_root=__root + "train/",
        data_prefix=dict(img="images/"),
        pipeline=[dict(type="LoadFrames"), *augmentation, *recipes.PACK],
    ),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=20),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=20, end=max_iters, eta_min=1e-5),
]
train_cfg = dict(max_iters=max_iters, val_interval=10 * max_iters)
default_hooks = dict(checkpoint=dict(interval=max_iters))
find_unused_parameters = False

val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        **__files,
        data_root=__root + "val/",
        data_prefix=dict(img="images/", seg="masks/"),
        test_mode=True,
        pipeline=recipes.test_steps(),
    )
)
val_evaluator = [dict(type="SemanticMetric")]
test_dataloader = val_dataloader
test_evaluator = val_evaluator
