"""Stage 1 of a small OV-SAM on the toy world's images: its adapter learns the embeddings of configs/toy/sam.py."""

_base_ = ["./toy_ov_sam.py"]
from omgseg import recipes

max_iters = 800
__weights = "work_dirs/sam/iter_1000.pth"

teacher = dict(config="configs/toy/sam.py", weights=__weights, cache="work_dirs/teacher_embeddings/toy_sam")
model = dict(
    _delete_=True,
    type="Sam2ClipDistillation",
    teacher=__weights,
    image_encoder=_base_.model.image_encoder,
    prompt_encoder=_base_.model.prompt_encoder,
    mask_decoder=dict(type="SamMaskDecoder", embed_dim=64, num_heads=4, mlp_dim=128, iou_hidden_dim=64),
)
train_dataloader = dict(
    batch_size=8,
    num_workers=0,
    sampler=dict(type="InfiniteSampler", shuffle=True),
    dataset=dict(
        type="CocoPromptDataset",
        data_root=_base_.toy_root + "data/coco/",
        ann_file="annotations/panoptic_train2017.json",
        data_prefix=dict(img="train2017/", seg="annotations/panoptic_train2017/"),
        image_size=(_base_.image_size, _base_.image_size),
        pipeline=recipes.teacher_steps(teacher["cache"], image_size=_base_.image_size),
    ),
)
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="timm.optim.muon.Muon", lr=8e-3, weight_decay=0.05, nesterov=True, betas=(0.9, 0.98)),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=50, end=max_iters, eta_min=1e-5),
]
train_cfg = dict(type="IterBasedTrainLoop", max_iters=max_iters, val_interval=10 * max_iters)
default_hooks = dict(logger=dict(interval=50), checkpoint=dict(by_epoch=False, interval=max_iters))
log_processor = dict(by_epoch=False)
