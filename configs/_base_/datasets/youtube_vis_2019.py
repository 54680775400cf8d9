"""YouTube-VIS 2019. See data/README.md#youtube-vis."""

youtube_vis_2019_train = dict(
    type="YouTubeVISDataset",
    data_root="{{$OMGSEG_DATA:data}}/youtube_vis_2019/",
    ann_file="annotations/youtube_vis_2019_train.json",
    data_prefix=dict(img="train/JPEGImages/"),
    vocabulary="youtube_vis_2019",
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

youtube_vis_2019_test_dataloader = dict(
    batch_size=1,
    num_workers=2,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="YouTubeVISDataset",
        data_root="{{$OMGSEG_DATA:data}}/youtube_vis_2019/",
        ann_file="annotations/youtube_vis_2019_valid.json",
        data_prefix=dict(img="valid/JPEGImages/"),
        vocabulary="youtube_vis_2019",
        image_size=(1280, 736),
        test_mode=True,
        pipeline=[dict(type="LoadFrames"), dict(type="Resize"), dict(type="PackClip")],
    ),
)

youtube_vis_2019_evaluator = dict(
    type="YouTubeVISMetric",
    ann_file="{{$OMGSEG_DATA:data}}/youtube_vis_2019/annotations/youtube_vis_2019_valid.json",
)
