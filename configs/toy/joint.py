"""The main joint training on the toy world: the same model, data and schedule files, smaller.

`tools/demo.py` makes the data and the CLIP in $OMGSEG_TOY (default work_dirs/demo), trains and evaluates.
"""

_base_ = [
    "../_base_/models/omg_convnext_l.py",
    "../_base_/datasets/joint_coco_vipseg_ytvis.py",
    "../_base_/schedules/joint_12e.py",
    "../_base_/runtime.py",
]
from omgseg import recipes

custom_imports = dict(imports=["omgseg.toy"])

toy_root = "{{$OMGSEG_TOY:work_dirs/demo}}/"
data_root = toy_root + "data/"
clip_weights = toy_root + "clip.safetensors"
image_size = (128, 128)
channels = 64
max_iters = 1300

model = dict(
    image_encoder=dict(model_name="omgseg_toy", pretrained=clip_weights, mean=None, std=None),
    text_encoder=dict(
        model_name="omgseg_toy", pretrained=clip_weights, templates="photo", cache_dir=toy_root + "cache"
    ),
    pixel_decoder=dict(
        feat_channels=channels,
        out_channels=channels,
        norm_cfg=dict(num_groups=8),
        encoder=dict(
            num_layers=1,
            layer_cfg=dict(
                self_attn_cfg=dict(embed_dims=channels),
                ffn_cfg=dict(embed_dims=channels, feedforward_channels=128),
            ),
        ),
        positional_encoding=dict(num_feats=channels // 2),
    ),
    query_decoder=dict(num_queries=20, num_layers=3, channels=channels, feedforward_channels=128),
    prompt_encoder=dict(channels=channels),
    classifier=dict(channels=channels),
    criterion=dict(num_points=1024),
    test_cfg=dict(short_video=0),  # clips of the full 5 frames, though toy videos have only 6 to 8
)

# The jitter is milder than the recipe's: things of 24 to 64 pixels leave no room for a tenth of the size.
__jitter = (0.8, 1.25)
__clips = dict(image_size=image_size, pipeline=recipes.clip_steps(__jitter))
coco = dict(data_root=data_root + "coco/", vocabulary=None, image_size=image_size)

train_dataloader = dict(
    batch_size=8,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        datasets=dict(
            coco_panoptic=dict(**coco, pipeline=recipes.image_steps(jitter=__jitter)),
            coco_pseudo_clips=dict(**coco, pipeline=recipes.pseudo_clip_steps(__jitter)),
            coco_prompts=dict(
                **coco, pipeline=recipes.image_steps(dict(type="SamplePrompts", repeat=True), jitter=__jitter)
            ),
            vipseg=dict(
                data_root=data_root + "VIPSeg/",
                vocabulary=data_root + "VIPSeg/vocabulary.json",
                **__clips,
            ),
            youtube_vis_2019=dict(data_root=data_root + "youtube_vis_2019/", vocabulary=None, **__clips),
        ),
        repeat=dict(coco_prompts=2, vipseg=8, youtube_vis_2019=8),
    ),
)

optim_wrapper = dict(optimizer=dict(lr=1e-3), clip_grad=dict(max_norm=0.1))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=50, end=max_iters, eta_min=1e-5),
]
train_cfg = dict(_delete_=True, type="IterBasedTrainLoop", max_iters=max_iters, val_interval=10 * max_iters)
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(by_epoch=False, interval=max_iters))
log_processor = dict(by_epoch=False)

# Validation: panoptic, instance and semantic segmentation of the images, read out of one pass.
val_dataloader = dict(
    num_workers=0,
    dataset=dict(**coco, tasks=("panoptic", "instance", "semantic")),
)
val_evaluator = [
    *recipes.coco_panoptic_metrics(data_root + "coco/annotations/", "panoptic_val2017", "instances_val2017"),
    dict(type="SemanticMetric"),
]
test_dataloader = val_dataloader
test_evaluator = val_evaluator
