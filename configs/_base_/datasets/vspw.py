"""VSPW: video semantic segmentation. Its classes are VIPSeg's. See data/README.md#vspw."""

vspw_train = dict(
    type="VSPWDataset",
    data_root="{{$OMGSEG_DATA:data}}/VSPW/",
    ann_file="train.txt",
    data_prefix=dict(img="data/"),
    vocabulary="vipseg",
    image_size=(1280, 736),
    pipeline=[
        dict(type="SampleFrames", num_frames=2, interval=2),
        dict(type="LoadFrames"),
        dict(type="LoadSegments"),
        dict(type="LargeScaleJitter", ratio_range=(0.8, 2.0)),
        dict(type="RandomFlip"),
        dict(type="PackClip"),
    ],
)

vspw_test_dataloader = dict(
    batch_size=1,
    num_workers=2,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="VSPWDataset",
        data_root="{{$OMGSEG_DATA:data}}/VSPW/",
        ann_file="val.txt",
        data_prefix=dict(img="data/"),
        vocabulary="vipseg",
        image_size=(1280, 736),
        test_mode=True,
        pipeline=[dict(type="LoadFrames"), dict(type="Resize"), dict(type="PackClip")],
    ),
)

vspw_evaluator = dict(type="VideoSemanticMetric")
