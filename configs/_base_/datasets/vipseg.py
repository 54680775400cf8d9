"""VIPSeg: video panoptic segmentation. See data/README.md#vipseg."""

vipseg_train = dict(
    type="VIPSegDataset",
    data_root="{{$OMGSEG_DATA:data}}/VIPSeg/",
    ann_file="train.txt",
    data_prefix=dict(img="imgs/", seg="panomasks/"),
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

vipseg_test_dataloader = dict(
    batch_size=1,
    num_workers=2,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="VIPSegDataset",
        data_root="{{$OMGSEG_DATA:data}}/VIPSeg/",
        ann_file="val.txt",
        data_prefix=dict(img="imgs/", seg="panomasks/"),
        vocabulary="vipseg",
        image_size=(1280, 736),
        test_mode=True,
        pipeline=[dict(type="LoadFrames"), dict(type="Resize"), dict(type="PackClip")],
    ),
)

vipseg_evaluator = dict(type="VideoPanopticMetric")
