"""Images in the COCO instance format: COCO's own. See data/README.md#coco, and #your-own-data for other data."""

coco_instance_train = dict(
    type="CocoInstanceDataset",
    data_root="{{$OMGSEG_DATA:data}}/coco/",
    ann_file="annotations/instances_train2017.json",
    data_prefix=dict(img="train2017/"),
    vocabulary="coco_panoptic",
    image_size=(1024, 1024),
    pipeline=[
        dict(type="LoadFrames"),
        dict(type="LoadSegments"),
        dict(type="LargeScaleJitter", ratio_range=(0.1, 2.0)),
        dict(type="RandomFlip"),
        dict(type="PackClip"),
    ],
)

coco_instance_test_dataloader = dict(
    batch_size=1,
    num_workers=2,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="CocoInstanceDataset",
        data_root="{{$OMGSEG_DATA:data}}/coco/",
        ann_file="annotations/instances_val2017.json",
        data_prefix=dict(img="val2017/"),
        vocabulary="coco_panoptic",
        image_size=(1333, 800),
        test_mode=True,
        pipeline=[dict(type="LoadFrames"), dict(type="Resize"), dict(type="PackClip")],
    ),
)

coco_instance_evaluator = dict(
    type="CocoInstanceMetric", ann_file="{{$OMGSEG_DATA:data}}/coco/annotations/instances_val2017.json"
)
