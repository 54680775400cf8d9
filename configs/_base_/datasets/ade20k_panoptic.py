"""ADE20K, 150 categories: panoptic, instance and semantic segmentation. See data/README.md#ade20k."""

ade20k_panoptic_train = dict(
    type="ADE20KDataset",
    data_root="{{$OMGSEG_DATA:data}}/ADEChallengeData2016/",
    ann_file="ade20k_panoptic_train.json",
    data_prefix=dict(img="images/training/", seg="ade20k_panoptic_train/"),
    vocabulary="ade20k",
    image_size=(1024, 1024),
    pipeline=[
        dict(type="LoadFrames"),
        dict(type="LoadSegments"),
        dict(type="LargeScaleJitter", ratio_range=(0.1, 2.0)),
        dict(type="RandomFlip"),
        dict(type="PackClip"),
    ],
)

ade20k_panoptic_test_dataloader = dict(
    batch_size=1,
    num_workers=2,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="ADE20KDataset",
        data_root="{{$OMGSEG_DATA:data}}/ADEChallengeData2016/",
        ann_file="ade20k_panoptic_val.json",
        data_prefix=dict(img="images/validation/", seg="ade20k_panoptic_val/"),
        vocabulary="ade20k",
        image_size=(2560, 640),
        tasks=("panoptic", "instance", "semantic"),
        test_mode=True,
        pipeline=[dict(type="LoadFrames"), dict(type="Resize"), dict(type="PackClip")],
    ),
)

ade20k_panoptic_evaluator = [
    dict(
        type="CocoPanopticMetric",
        ann_file="{{$OMGSEG_DATA:data}}/ADEChallengeData2016/ade20k_panoptic_val.json",
        seg_prefix="{{$OMGSEG_DATA:data}}/ADEChallengeData2016/ade20k_panoptic_val/",
    ),
    dict(
        type="CocoInstanceMetric",
        ann_file="{{$OMGSEG_DATA:data}}/ADEChallengeData2016/ade20k_instance_val.json",
    ),
    dict(
        type="SemanticMetric",
        seg_prefix="{{$OMGSEG_DATA:data}}/ADEChallengeData2016/annotations/validation/",
        reduce_zero_label=True,
    ),
]
