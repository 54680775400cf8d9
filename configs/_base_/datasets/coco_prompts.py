"""COCO panoptic images as class-agnostic masks to prompt for. See data/README.md#coco."""

coco_prompts_train = dict(
    type="CocoPromptDataset",
    data_root="{{$OMGSEG_DATA:data}}/coco/",
    ann_file="annotations/panoptic_train2017.json",
    data_prefix=dict(img="train2017/", seg="annotations/panoptic_train2017/"),
    image_size=(1024, 1024),
    pipeline=[
        dict(type="LoadFrames"),
        dict(type="LoadSegments"),
        dict(type="LargeScaleJitter", ratio_range=(0.1, 2.0)),
        dict(type="RandomFlip"),
        dict(type="SamplePrompts", max_prompts=20, kind="point"),
        dict(type="PackClip"),
    ],
)

# One click in the middle of each mask.
coco_prompts_test_dataloader = dict(
    batch_size=1,
    num_workers=2,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="CocoPromptDataset",
        data_root="{{$OMGSEG_DATA:data}}/coco/",
        ann_file="annotations/panoptic_val2017.json",
        data_prefix=dict(img="val2017/", seg="annotations/panoptic_val2017/"),
        image_size=(1333, 800),
        test_mode=True,
        pipeline=[
            dict(type="LoadFrames"),
            dict(type="LoadSegments"),
            dict(type="Resize"),
            dict(type="SamplePrompts", max_prompts=None, kind="point", deterministic=True),
            dict(type="PackClip"),
        ],
    ),
)

coco_prompts_evaluator = dict(type="InteractiveMetric")
