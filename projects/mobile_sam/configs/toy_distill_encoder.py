"""A small MobileSAM on the toy world's images: its encoder learns the embeddings of configs/toy/sam.py."""

_base_ = ["../../../configs/toy/sam.py"]
from omgseg import recipes

custom_imports = dict(imports=["omgseg.projects.mobile_sam"])

__side = _base_.image_size
__weights = f"work_dirs/sam/iter_{_base_.max_iters}.pth"
max_iters = 400

teacher = dict(config="configs/toy/sam.py", weights=__weights, cache="work_dirs/teacher_embeddings/toy_sam")
model = dict(
    type="EncoderDistillation",
    teacher=__weights,
    image_encoder=dict(
        _delete_=True,
        type="MobileSamImageEncoder",
        image_size=__side,
        embed_dim=_base_.model.image_encoder.embed_dim,
        trunk=dict(
            embed_dims=(16, 32, 64, 96),
            depths=(1, 1, 2, 1),
            num_heads=(1, 2, 4, 6),
            drop_path_rate=0.0,
        ),
    ),
)
train_dataloader = dict(
    batch_size=8,
    dataset=dict(
        pipeline=recipes.teacher_steps(teacher["cache"]),
    ),
)
# MobileSAM's optimizer; the one of configs/toy/sam.py was not tried here
optim_wrapper = dict(optimizer=dict(_delete_=True, type="AdamW", lr=2e-3, weight_decay=0.05))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=50, end=max_iters, eta_min=1e-5),
]
train_cfg = dict(max_iters=max_iters, val_interval=10 * max_iters)
default_hooks = dict(checkpoint=dict(interval=max_iters))
