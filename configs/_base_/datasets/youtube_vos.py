"""YouTube-VOS: video object segmentation, evaluation by the challenge's server. See data/README.md#youtube-vos."""

youtube_vos_test_dataloader = dict(
    batch_size=1,
    num_workers=2,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="YouTubeVOSDataset",
        data_root="{{$OMGSEG_DATA:data}}/YouTubeVOS/",
        ann_file="valid/meta.json",
        data_prefix=dict(img="valid/JPEGImages/", seg="valid/Annotations/"),
        image_size=(1280, 736),
        test_mode=True,
        pipeline=[
            dict(type="LoadFrames"),
            dict(type="LoadSegments", first_masks_only=True),
            dict(type="Resize"),
            dict(type="PackClip"),
        ],
    ),
)

youtube_vos_evaluator = dict(type="YouTubeVOSMetric", submission="work_dirs/submissions/youtube_vos.zip")
