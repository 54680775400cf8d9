"""What the trainings of MaskCLIP+ share. The network is OMG-Seg's frozen ConvNeXt-L and its pixel decoder; the teacher
and the words are those of CLIP ViT-B/16, with the published thresholds of denoising and smoothing.

Published: DeepLabv2 or DeepLabv3+ on an ImageNet ResNet-101, SGD with rate 0.01 for 16 images. The rate here is that of
OMG-Seg's recipe, also for 16 images.
"""

_base_ = ["../../../../configs/_base_/models/omg_convnext_l.py", "../../../../configs/_base_/runtime.py"]

custom_imports = dict(imports=["omgseg.projects.mask_clip"])

model = dict(
    _delete_=True,
    type="MaskClipPlus",
    data_preprocessor=dict(type="ClipPreprocessor", size_divisor=32),
    clip=dict(model_name="ViT-B-16-quickgelu", pretrained="openai"),
    image_encoder=_base_.model.image_encoder,
    pixel_decoder=_base_.model.pixel_decoder,
    denoising=0.5,
    smoothing=1.0,
)

train_dataloader = dict(
    batch_size=4,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=True),
    batch_sampler=dict(type="SourceBatchSampler"),
)
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=1e-4, weight_decay=0.05),
    paramwise_cfg=dict(norm_decay_mult=0.0),
    clip_grad=dict(max_norm=1.0),
)
auto_scale_lr = dict(enable=False, base_batch_size=16)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
default_hooks = dict(checkpoint=dict(by_epoch=False))
log_processor = dict(by_epoch=False)
find_unused_parameters = False
