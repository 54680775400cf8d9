"""Fine-tune the ViT of EfficientSAM-Ti after sami_ti.py as a classifier of ImageNet-1K.

Needs data/imagenet/train and data/imagenet/val, a folder of images for each class. The paper's Table 1 fine-tunes on
ImageNet-1K; its recipe was not at hand: this is that of MAE's fine-tuning without mixing images, at a rate for all
layers.
"""

_base_ = ["../../../configs/_base_/runtime.py"]
from omgseg import recipes

custom_imports = dict(imports=["omgseg.projects.efficient_sam"])

__root = "{{$OMGSEG_DATA:data}}/imagenet/"
__side = 224
__batch, __processes = 64, 8
max_epochs, warmup_epochs = 100, 5

model = dict(
    type="VitClassifier",
    num_classes=1000,
    pretrained="work_dirs/sami_ti/epoch_100.pth",
    image_encoder=dict(type="EfficientSamImageEncoder", image_size=__side, width=192, num_heads=3),
)
__folder = dict(type="ImageFolderDataset", data_root=__root, image_size=(__side, __side))
__stretch = dict(type="Resize", keep_ratio=False, masks=True)
train_dataloader = dict(
    batch_size=__batch,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=True),
    dataset=dict(
        **__folder,
        data_prefix=dict(img="train/"),
        pipeline=[
            *recipes.LOAD,
            dict(type="LargeScaleJitter", ratio_range=(1.0, 2.0)),
            __stretch,
            dict(type="RandomFlip"),
            *recipes.PACK,
        ],
    ),
)
val_dataloader = dict(
    batch_size=__batch,
    num_workers=8,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        **__folder,
        data_prefix=dict(img="val/"),
        test_mode=True,
        pipeline=[*recipes.LOAD, __stretch, *recipes.PACK],
    ),
)
test_dataloader = val_dataloader
val_evaluator = test_evaluator = [dict(type="AccuracyMetric")]
val_cfg, test_cfg = dict(type="ValLoop"), dict(type="TestLoop")

optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=5e-4 * __batch * __processes / 256, weight_decay=0.05),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
)
auto_scale_lr = dict(base_batch_size=__batch * __processes)
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-4, end=warmup_epochs, convert_to_iter_based=True),
    dict(
        type="CosineAnnealingLR", begin=warmup_epochs, end=max_epochs, eta_min=0.0, convert_to_iter_based=True
    ),
]
train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=max_epochs, val_interval=1)
