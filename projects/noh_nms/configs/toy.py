"""A small Faster R-CNN with the nearby-object branch, trained from nothing on crowded images of the toy world.

python tools/train.py projects/noh_nms/configs/toy.py
"""

_base_ = ["./faster_rcnn_r50.py"]

data_root = "{{$OMGSEG_TOY:work_dirs/demo}}/crowd/"
image_scale = (256, 256)  # twice the size of the pictures
max_iters = 1000

backbone = dict(
    depth=18,
    base_channels=16,
    num_stages=3,
    strides=(1, 2, 2),
    dilations=(1, 1, 1),
    out_indices=(0, 1, 2),
    frozen_stages=-1,
    norm_eval=False,
    init_cfg=None,
)
model = dict(
    backbone=backbone,
    neck=dict(in_channels=[16, 32, 64], out_channels=32, num_outs=3),
    rpn_head=dict(
        in_channels=32,
        feat_channels=32,
        anchor_generator=dict(scales=[6, 9], ratios=[1.0], strides=[4, 8, 16]),
    ),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=32, featmap_strides=[4, 8, 16]),
        bbox_head=dict(in_channels=32, fc_out_channels=128),
        nearby_head=dict(in_channels=32, channels=128),
    ),
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=500, max_per_img=300),
        rcnn=dict(sampler=dict(num=128)),
    ),
    test_cfg=dict(rpn=dict(nms_pre=500, max_per_img=300)),
)

resize = dict(type="mmdet.Resize", scale=image_scale, keep_ratio=True, clip_object_border=False)
train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        data_root=data_root,
        pipeline=[
            dict(type="mmdet.LoadImageFromFile"),
            dict(type="mmdet.LoadAnnotations", with_bbox=True),
            resize,
            dict(type="mmdet.FilterAnnotations", min_gt_bbox_wh=(1, 1), keep_empty=False),
            dict(type="mmdet.RandomFlip", prob=[0.3, 0.3], direction=["horizontal", "vertical"]),
            dict(type="mmdet.PackDetInputs"),
        ],
    ),
)
optim_wrapper = dict(
    optimizer=dict(
        _delete_=True,
        type="timm.optim.muon.Muon",
        lr=8e-3,
        weight_decay=0.05,
        nesterov=True,
        betas=(0.9, 0.98),
    ),
    clip_grad=dict(max_norm=5.0),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=50, end=max_iters, eta_min=1e-5),
]
train_cfg = dict(max_iters=max_iters, val_interval=10 * max_iters)
default_hooks = dict(logger=dict(interval=50), checkpoint=dict(interval=max_iters))

val_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        data_root=data_root,
        pipeline=[dict(type="mmdet.LoadImageFromFile"), resize, dict(type="mmdet.PackDetInputs")],
    ),
)
val_evaluator = [dict(type="CrowdMetric", ann_file=data_root + "annotation_val.odgt")]
test_dataloader = val_dataloader
test_evaluator = val_evaluator
