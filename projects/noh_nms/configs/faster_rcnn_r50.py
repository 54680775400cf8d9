"""NOH-NMS on Faster R-CNN with ResNet-50 on CrowdHuman, as published.

python tools/train.py projects/noh_nms/configs/faster_rcnn_r50.py

Published: 16 images, learning rate 0.04, 28125 iterations (x 0.1 at 18750 and 24375), warm-up over 800 iterations from
a tenth; short side 800, long side up to 1400. Momentum and weight decay are the defaults of its framework, detectron2.
The model is mmdet's and builds in any scope. No operator of mmcv has to be compiled.
"""

_base_ = ["../../../configs/_base_/runtime.py"]
custom_imports = dict(imports=["omgseg.projects.noh_nms"])

data_root = "{{$OMGSEG_DATA:data}}/CrowdHuman/"
image_scale = (1400, 800)
max_iters = 28125

greedy = dict(type="noh_nms", method="greedy", iou_threshold=0.7)
coder = dict(type="DeltaXYWHBBoxCoder", clip_border=False)
roi_deviations = (0.1, 0.1, 0.2, 0.2)

model = dict(
    _scope_="mmdet",
    type="mmdet.NohFasterRCNN",
    data_preprocessor=dict(
        type="DetDataPreprocessor",
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=32,
    ),
    backbone=dict(
        type="ResNet",
        depth=50,
        frozen_stages=1,
        norm_cfg=dict(type="BN"),
        norm_eval=True,
        style="pytorch",
        init_cfg=dict(type="Pretrained", checkpoint="torchvision://resnet50"),
    ),
    neck=dict(
        type="FPN",
        in_channels=[256, 512, 1024, 2048],
        out_channels=256,
        num_outs=5,
        norm_cfg=dict(type="BN"),
    ),
    rpn_head=dict(
        type="RPNHead",
        in_channels=256,
        anchor_generator=dict(
            type="AnchorGenerator", scales=[8], ratios=[1.0, 2.0, 3.0], strides=[4, 8, 16, 32, 64]
        ),
        bbox_coder=coder,
        loss_cls=dict(type="CrossEntropyLoss", use_sigmoid=True),
        loss_bbox=dict(type="L1Loss"),
    ),
    roi_head=dict(
        type="NohRoIHead",
        bbox_roi_extractor=dict(
            type="SingleRoIExtractor",
            roi_layer=dict(type="RoIAlign", output_size=7, sampling_ratio=0, use_torchvision=True),
            out_channels=256,
            featmap_strides=[4, 8, 16, 32],
        ),
        bbox_head=dict(
            type="Shared2FCBBoxHead",
            in_channels=256,
            roi_feat_size=7,
            num_classes=1,
            bbox_coder=dict(**coder, target_stds=roi_deviations),
            loss_cls=dict(type="CrossEntropyLoss"),
            loss_bbox=dict(type="L1Loss"),
        ),
    ),
    train_cfg=dict(
        rpn=dict(
            assigner=dict(type="MaxIoUAssigner", pos_iou_thr=0.7, neg_iou_thr=0.3, min_pos_iou=0.3),
            sampler=dict(type="RandomSampler", num=256, pos_fraction=0.5, add_gt_as_proposals=False),
            allowed_border=-1,
            pos_weight=-1,
        ),
        rpn_proposal=dict(nms_pre=2000, max_per_img=1000, nms=greedy, min_bbox_size=0),
        rcnn=dict(
            assigner=dict(
                type="MaxIoUAssigner",
                pos_iou_thr=0.5,
                neg_iou_thr=0.5,
                min_pos_iou=0.5,
                match_low_quality=False,
            ),
            sampler=dict(type="RandomSampler", num=512, pos_fraction=0.5, add_gt_as_proposals=True),
            pos_weight=-1,
        ),
    ),
    test_cfg=dict(
        rpn=dict(nms_pre=1000, max_per_img=1000, nms=greedy, min_bbox_size=0),
        rcnn=dict(score_thr=0.05, nms=dict(type="noh_nms", iou_threshold=0.5), max_per_img=200),
    ),
)

resize = dict(type="mmdet.Resize", scale=image_scale, keep_ratio=True, clip_object_border=False)
train_dataloader = dict(
    batch_size=2,  # for 8 processes
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type="InfiniteSampler", shuffle=True),
    dataset=dict(
        type="OdgtDataset",
        data_root=data_root,
        ann_file="annotation_train.odgt",
        data_prefix=dict(img="Images/"),
        pipeline=[
            dict(type="mmdet.LoadImageFromFile"),
            dict(type="mmdet.LoadAnnotations", with_bbox=True),
            resize,
            dict(type="mmdet.FilterAnnotations", min_gt_bbox_wh=(1, 1), keep_empty=False),
            dict(type="mmdet.RandomFlip", prob=0.5),
            dict(type="mmdet.PackDetInputs"),
        ],
    ),
)
optim_wrapper = dict(
    type="OptimWrapper", optimizer=dict(type="SGD", lr=0.04, momentum=0.9, weight_decay=1e-4)
)
auto_scale_lr = dict(enable=False, base_batch_size=16)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.1, by_epoch=False, begin=0, end=800),
    dict(type="MultiStepLR", by_epoch=False, begin=0, end=max_iters, milestones=[18750, 24375], gamma=0.1),
]
train_cfg = dict(type="IterBasedTrainLoop", max_iters=max_iters, val_interval=5625)
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=5625))
log_processor = dict(by_epoch=False)

val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="OdgtDataset",
        data_root=data_root,
        ann_file="annotation_val.odgt",
        data_prefix=dict(img="Images/"),
        test_mode=True,
        pipeline=[dict(type="mmdet.LoadImageFromFile"), resize, dict(type="mmdet.PackDetInputs")],
    ),
)
val_evaluator = [dict(type="CrowdMetric", ann_file=data_root + "annotation_val.odgt")]
val_cfg = dict(type="ValLoop")
test_dataloader = val_dataloader
test_evaluator = val_evaluator
test_cfg = dict(type="TestLoop")
