"""DAVIS 2017: video object segmentation, evaluation only. See data/README.md#davis."""

davis17_test_dataloader = dict(
    batch_size=1,
    num_workers=2,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="DAVISDataset",
        data_root="{{$OMGSEG_DATA:data}}/DAVIS/",
        ann_file="ImageSets/2017/val.txt",
        data_prefix=dict(img="JPEGImages/480p/", seg="Annotations/480p/"),
        image_size=(1280, 736),
        test_mode=True,
        pipeline=[
            dict(type="LoadFrames"),
            dict(type="LoadSegments", first_frame_only=True),
            dict(type="Resize"),
            dict(type="PackClip"),
        ],
    ),
)

davis17_evaluator = dict(type="DavisMetric")
