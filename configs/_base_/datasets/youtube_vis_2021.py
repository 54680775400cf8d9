"""YouTube-VIS 2021. See data/README.md#youtube-vis."""

youtube_vis_2021_train = dict(
    type="YouTubeVISDataset",
    data_root="data/youtube_vis_2021/",
    ann_file="annotations/youtube_vis_2021_train.json",
    data_prefix=dict(img="train/JPEGImages/"),
    vocabulary="youtube_vis_2021",
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

youtube_vis_2021_test_dataloader = dict(
    batch_size=1,
    num_workers=2,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="YouTubeVISDataset",
        data_root="data/youtube_vis_2021/",
        ann_file="annotations/youtube_vis_2021_valid.json",
        data_prefix=dict(img="valid/JPEGImages/"),
        vocabulary="youtube_vis_2021",
        image_size=(1280, 736),
        test_mode=True,
        pipeline=[dict(type="LoadFrames"), dict(type="Resize"), dict(type="PackClip")],
    ),
)

youtube_vis_2021_evaluator = dict(
    type="YouTubeVISMetric",
    ann_file="data/youtube_vis_2021/annotations/youtube_vis_2021_valid.json",
)
