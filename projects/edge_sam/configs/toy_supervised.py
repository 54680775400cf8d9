"""A small EdgeSAM on the toy world without a teacher: SAM's training from nothing, as in configs/toy/sam.py."""

_base_ = ["../../../configs/toy/sam.py"]
custom_imports = dict(imports=["omgseg.projects.edge_sam"])

student_iters = 500  # of each student, with or without a teacher

model = dict(
    image_encoder=dict(
        _delete_=True,
        type="EdgeSamImageEncoder",
        image_size=_base_.image_size,
        embed_dim=_base_.model.image_encoder.embed_dim,
        trunk_options=dict(embed_dim=(16, 32, 64, 128), depth=(1, 1, 2, 1)),
    ),
)
train_dataloader = dict(batch_size=8)
# EdgeSAM's optimizer; the one of configs/toy/sam.py was not tried here
optim_wrapper = dict(optimizer=dict(_delete_=True, type="AdamW", lr=2e-3, weight_decay=0.05))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=50, end=student_iters, eta_min=1e-5),
]
train_cfg = dict(max_iters=student_iters, val_interval=10 * student_iters)
default_hooks = dict(checkpoint=dict(interval=student_iters))
