"""MobileSAM's decoupled distillation: TinyViT learns the embeddings of SAM ViT-H, on 1 % of SA-1B (put 10 of its shards
there); the decoder is SAM's, and frozen.

Published: the data, the teacher, the loss (mean squared error), less than a day on one GPU. The training code is not
published, and optimizer, learning rate, batch, epochs and where TinyViT starts from could not be verified: those here
are chosen.
"""

_base_ = ["../../../configs/_base_/models/sam_vit_b.py", "../../../configs/_base_/runtime.py"]
from omgseg import recipes

custom_imports = dict(imports=["omgseg.projects.mobile_sam"])

__root = "{{$OMGSEG_DATA:data}}/"
__weights = "sam_vit_h_4b8939.pth"
max_epochs = 8

teacher = dict(config="sam-vit-h", weights=__weights, cache=__root + "teacher_embeddings/sam_vit_h")
model = dict(
    type="EncoderDistillation",
    teacher=__weights,
    image_encoder=dict(_delete_=True, type="MobileSamImageEncoder"),
)
train_dataloader = dict(
    batch_size=8,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=True),
    dataset=dict(
        type="SA1BDataset",
        data_root=__root + "sa1b/",
        data_prefix=dict(img=""),
        image_size=(1024, 1024),
        pipeline=recipes.teacher_steps(teacher["cache"]),
    ),
)
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=1e-3, weight_decay=0.01),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
    clip_grad=dict(max_norm=5.0),
)
auto_scale_lr = dict(base_batch_size=8)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, end=500),
    dict(type="CosineAnnealingLR", T_max=max_epochs, convert_to_iter_based=True),
]
train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=max_epochs, val_interval=max_epochs + 1)
