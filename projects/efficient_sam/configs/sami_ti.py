"""SAMI: pre-train the image encoder of EfficientSAM-Ti on the images of data/imagenet/train, without their labels.

Published: the teacher (SAM ViT-H), ImageNet-1K at 224 pixels, 75 % of the patches masked, the mean squared error; the
code is not. The optimizer is MAE's; decoder, batch and epochs are chosen. Images are not cropped or flipped, as the
teacher's embeddings are computed once, of whole images:

    python tools/teacher_embeddings.py projects/efficient_sam/configs/sami_ti.py
    tools/dist_train.sh projects/efficient_sam/configs/sami_ti.py 8 --work-dir work_dirs/sami_ti
"""

_base_ = ["../../../configs/_base_/runtime.py"]
from omgseg import recipes

custom_imports = dict(imports=["omgseg.projects.efficient_sam"])

__root = "{{$OMGSEG_DATA:data}}/"
__weights = "sam_vit_h_4b8939.pth"
__side, __teacher_side = 224, 1024
__batch, __processes = 64, 8
max_epochs = 100
warmup_epochs = 10

teacher = dict(config="sam-vit-h", weights=__weights, cache=__root + "teacher_embeddings/sam_vit_h")
model = dict(
    type="MaskedPretraining",
    target="embedding",
    teacher=__weights,
    image_encoder=dict(type="EfficientSamImageEncoder", image_size=__side, width=192, num_heads=3),
)
train_dataloader = dict(
    batch_size=__batch,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=True),
    dataset=dict(
        type="UnlabelledImageDataset",
        data_root=__root + "imagenet/",
        data_prefix=dict(img="train/"),
        image_size=(__teacher_side, __teacher_side),
        pipeline=[
            *recipes.teacher_steps(teacher["cache"])[:-1],
            dict(type="Resize", scale=(__side, __side)),
            dict(type="PackClip"),
        ],
    ),
)
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(
        type="AdamW", lr=1.5e-4 * __batch * __processes / 256, betas=(0.9, 0.95), weight_decay=0.05
    ),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
)
auto_scale_lr = dict(base_batch_size=__batch * __processes)
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-4, end=warmup_epochs, convert_to_iter_based=True),
    dict(
        type="CosineAnnealingLR", begin=warmup_epochs, end=max_epochs, eta_min=0.0, convert_to_iter_based=True
    ),
]
train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=max_epochs, val_interval=max_epochs + 1)
