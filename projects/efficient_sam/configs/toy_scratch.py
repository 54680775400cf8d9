"""A small EfficientSAM on the toy world from nothing: SAM's training, as in configs/toy/sam.py.

The patches are plain, as masked pre-training needs: 16 x 16 pixels each, without convolutions before them.
"""

_base_ = ["../../../configs/toy/sam.py"]
custom_imports = dict(imports=["omgseg.projects.efficient_sam"])

finetune_iters = 300  # of each student, pre-trained or not

image_encoder = dict(
    type="EfficientSamImageEncoder",
    image_size=_base_.image_size,
    width=128,
    depth=4,
    num_heads=4,
    mlp_ratio=2.0,
    position_grid=16,
    embed_dim=_base_.model.image_encoder.embed_dim,
)
model = dict(
    type="EfficientSAM",
    image_encoder=dict(_delete_=True, **image_encoder),
    prompt_encoder=dict(type="EfficientSamPromptEncoder"),
    mask_decoder=dict(type="EfficientSamMaskDecoder"),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=50, end=finetune_iters, eta_min=1e-5),
]
train_cfg = dict(max_iters=finetune_iters, val_interval=10 * finetune_iters)
default_hooks = dict(checkpoint=dict(interval=finetune_iters))
