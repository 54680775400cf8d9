"""Stage 1 of EdgeSAM: its encoder learns the embeddings of SAM ViT-H, on 1 % of SA-1B (put 10 of its shards there).

Published: AdamW, learning rate 0.1 for a batch of 512, here for the published batch of 8 on each of 8 GPUs; weight
decay 0.01, gradient clip 5, 10 epochs, synchronised batch norm, no mixed precision, RepViT-M1 pre-trained on ImageNet.
The published list of images does not go by shards.
"""

_base_ = ["../../../configs/_base_/models/sam_vit_b.py", "../../../configs/_base_/runtime.py"]
from omgseg import recipes

custom_imports = dict(imports=["omgseg.projects.edge_sam"])

__lr, __batch, __processes = 0.1, 8, 8
__scale = __batch * __processes / 512
__root = "{{$OMGSEG_DATA:data}}/"
__weights = "sam_vit_h_4b8939.pth"
max_epochs = 10
warmup_epochs = 5

teacher = dict(config="sam-vit-h", weights=__weights, cache=__root + "teacher_embeddings/sam_vit_h")
model = dict(
    type="EncoderDistillation",
    teacher=__weights,
    trunk="hf://timm/repvit_m1.dist_in1k/model.safetensors",
    image_encoder=dict(_delete_=True, type="EdgeSamImageEncoder"),
)
train_dataloader = dict(
    batch_size=__batch,
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
    optimizer=dict(type="AdamW", lr=__lr * __scale, betas=(0.9, 0.999), weight_decay=0.01),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
    clip_grad=dict(max_norm=5.0),
)
auto_scale_lr = dict(base_batch_size=__batch * __processes)
# The published cosine spans all epochs, the first of which the warm-up replaces; here both act on them.
param_scheduler = [
    dict(type="LinearLR", start_factor=5e-6, end=warmup_epochs, convert_to_iter_based=True),
    dict(type="CosineAnnealingLR", T_max=max_epochs, eta_min=5e-6 * __scale, convert_to_iter_based=True),
]
train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=max_epochs, val_interval=max_epochs + 1)
sync_bn = "torch"
