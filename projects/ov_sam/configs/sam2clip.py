"""Stage 1 of OV-SAM, SAM2CLIP: the adapter on the frozen CLIP learns the embeddings of SAM ViT-H, on 1 % of SA-1B (put
10 of its shards there).

Hyper-parameters of the published configuration: AdamW, learning rate 1e-4, weight decay 0.05 (none of norms), 500
iterations of warm-up, cosine down to 1 %, gradient clip 5, 24 epochs, 2 images on each of 8 GPUs. The paper says 12
epochs and a weight decay of 1e-4. The published loss counts the padding of images, too; here it does not.
"""

_base_ = ["./ov_sam_coco.py"]
from omgseg import recipes

__root = "{{$OMGSEG_DATA:data}}/"
__weights = "sam_vit_h_4b8939.pth"
__lr, max_epochs = 1e-4, 24

teacher = dict(config="sam-vit-h", weights=__weights, cache=__root + "teacher_embeddings/sam_vit_h")
model = dict(
    _delete_=True,
    type="Sam2ClipDistillation",
    teacher=__weights,
    image_encoder=_base_.model.image_encoder,
    prompt_encoder=_base_.model.prompt_encoder,
    mask_decoder=dict(type="SamMaskDecoder"),
)
train_dataloader = dict(
    batch_size=2,
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
    optimizer=dict(type="AdamW", lr=__lr, weight_decay=0.05),
    paramwise_cfg=dict(norm_decay_mult=0.0),
    clip_grad=dict(max_norm=5.0),
)
auto_scale_lr = dict(base_batch_size=16)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(type="CosineAnnealingLR", T_max=max_epochs, eta_min=0.01 * __lr, convert_to_iter_based=True),
]
train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=max_epochs, val_interval=max_epochs + 1)
