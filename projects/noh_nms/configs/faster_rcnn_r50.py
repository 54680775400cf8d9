"""NOH-NMS on Faster R-CNN with ResNet-50 for CrowdHuman's one class, as published: the model alone, for mmdet.

The published training: 16 images, learning rate 0.04, 28125 iterations (x 0.1 at 18750 and 24375), warm-up over 800
iterations; short side 800, long side up to 1400. No operator of mmcv has to be compiled.
"""

default_scope = "mmdet"
custom_imports = dict(imports=["omgseg.projects.noh_nms"])

greedy = dict(type="noh_nms", method="greedy", iou_threshold=0.7)
coder = dict(type="DeltaXYWHBBoxCoder", clip_border=False)
roi_deviations = (0.1, 0.1, 0.2, 0.2)

model = dict(
    type="FasterRCNN",
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
