"""COCO panoptic itself, two images of it: the real files, adapter and metric, with a model that learns them by heart.

$OMGSEG_REAL_SAMPLES (default data/real_samples) has the folder coco/, laid out as data/README.md#coco says.

python tools/train.py configs/toy/coco_real.py
python tools/test.py configs/toy/coco_real.py work_dirs/coco_real/iter_500.pth --show-dir work_dirs/coco_real/pictures
"""

_base_ = [
    "../_base_/models/omg_convnext_l.py",
    "../_base_/datasets/joint_coco_vipseg_ytvis.py",
    "../_base_/schedules/joint_12e.py",
    "../_base_/runtime.py",
]
from omgseg import recipes

custom_imports = dict(imports=["omgseg.toy"])

data_root = "{{$OMGSEG_REAL_SAMPLES:data/real_samples}}/coco/"
image_size = (256, 192)
channels = 128
max_iters = 500

# No weights at all: a small image encoder that trains with the rest, and the fixed directions that an untrained text
# encoder gives the 133 names. They tell classes apart, which is all that two images can teach.
clip_name = "omgseg_toy"
clip_weights = None
model = dict(
    image_encoder=dict(model_name=clip_name, pretrained=clip_weights, frozen=False),
    text_encoder=dict(model_name=clip_name, pretrained=clip_weights, templates="photo"),
    pixel_decoder=dict(
        feat_channels=channels,
        out_channels=channels,
        encoder=dict(
            num_layers=2,
            layer_cfg=dict(
                self_attn_cfg=dict(embed_dims=channels),
                ffn_cfg=dict(embed_dims=channels, feedforward_channels=256),
            ),
        ),
        positional_encoding=dict(num_feats=channels // 2),
    ),
    query_decoder=dict(num_queries=100, num_layers=3, channels=channels, feedforward_channels=256),
    prompt_encoder=dict(channels=channels),
    classifier=dict(channels=channels),
    criterion=dict(num_points=2048),
    test_cfg=dict(ensemble=False),  # an untrained CLIP has no opinion of its own
)

train_dataloader = dict(
    batch_size=2,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        datasets=dict(
            coco_panoptic=dict(
                data_root=data_root,
                image_size=image_size,
                pipeline=[*recipes.LOAD, dict(type="Resize", masks=True), *recipes.PACK],
            ),
            coco_pseudo_clips=None,
            coco_prompts=None,
            vipseg=None,
            youtube_vis_2019=None,
        ),
        repeat=dict(coco_panoptic=max_iters),  # one long epoch
    ),
)

optim_wrapper = dict(optimizer=dict(lr=1e-3), clip_grad=dict(max_norm=0.1))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=50, end=max_iters, eta_min=1e-5),
]
train_cfg = dict(_delete_=True, type="IterBasedTrainLoop", max_iters=max_iters, val_interval=max_iters)
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(by_epoch=False, interval=max_iters))
log_processor = dict(by_epoch=False)

val_dataloader = dict(num_workers=0, dataset=dict(data_root=data_root, image_size=image_size))
val_evaluator = recipes.coco_panoptic_metrics(
    data_root + "annotations/", "panoptic_val2017", "instances_val2017"
)
test_dataloader = val_dataloader
test_evaluator = val_evaluator
