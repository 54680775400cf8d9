"""SAMI in small: the image encoder of toy_scratch.py reconstructs the embeddings of configs/toy/sam.py."""

_base_ = ["./toy_scratch.py"]
from omgseg import recipes

__weights = f"work_dirs/sam/iter_{_base_.max_iters}.pth"
pretrain_iters = 500

teacher = dict(config="configs/toy/sam.py", weights=__weights, cache="work_dirs/teacher_embeddings/toy_sam")
model = dict(
    _delete_=True,
    type="MaskedPretraining",
    target="embedding",
    teacher=__weights,
    target_dim=_base_.image_encoder.embed_dim,
    image_encoder=_base_.image_encoder,
    decoder=dict(width=128, depth=2, num_heads=4),
)
train_dataloader = dict(
    batch_size=16,
    dataset=dict(
        _delete_=True,
        type="UnlabelledImageDataset",
        data_root=_base_.data_root + "coco/",
        data_prefix=dict(img="train2017/"),
        image_size=(_base_.image_size, _base_.image_size),
        pipeline=recipes.teacher_steps(teacher["cache"]),
    ),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=50, end=pretrain_iters, eta_min=1e-5),
]
train_cfg = dict(max_iters=pretrain_iters, val_interval=10 * pretrain_iters)
default_hooks = dict(checkpoint=dict(interval=pretrain_iters))
