"""Stage 1 of a small EdgeSAM on the toy world's images: its encoder learns the embeddings of configs/toy/sam.py."""

_base_ = ["../../../configs/toy/sam.py"]
custom_imports = dict(imports=["omgseg.projects.edge_sam"])

__side = _base_.image_size
__weights = f"work_dirs/sam/iter_{_base_.max_iters}.pth"
max_iters = 500

teacher = dict(config="configs/toy/sam.py", weights=__weights, cache="work_dirs/teacher_embeddings/toy_sam")
model = dict(
    type="EncoderDistillation",
    teacher=__weights,
    image_encoder=dict(
        _delete_=True,
        type="EdgeSamImageEncoder",
        image_size=__side,
        embed_dim=_base_.model.image_encoder.embed_dim,
        trunk_options=dict(embed_dim=(16, 32, 64, 128), depth=(1, 1, 2, 1)),
    ),
)
train_dataloader = dict(
    batch_size=8,
    dataset=dict(
        pipeline=[
            dict(type="LoadFrames"),
            dict(type="Resize"),
            dict(type="LoadTeacherEmbedding", cache=teacher["cache"]),
            dict(type="PackClip"),
        ],
    ),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=50, end=max_iters, eta_min=1e-5),
]
train_cfg = dict(max_iters=max_iters, val_interval=10 * max_iters)
default_hooks = dict(checkpoint=dict(interval=max_iters))
