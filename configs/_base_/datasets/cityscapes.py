"""Cityscapes: panoptic, instance and semantic segmentation of streets. See data/README.md#cityscapes."""

cityscapes_train = dict(
    type="CityscapesDataset",
    data_root="{{$OMGSEG_DATA:data}}/cityscapes/",
    data_prefix=dict(img="leftImg8bit/train/", seg="gtFine/train/"),
    vocabulary="cityscapes",
    image_size=(1024, 1024),
    pipeline=[
        dict(type="LoadFrames"),
        dict(type="LoadSegments"),
        dict(type="LargeScaleJitter", ratio_range=(0.8, 1.5)),
        dict(type="RandomFlip"),
        dict(type="PackClip"),
    ],
)

cityscapes_test_dataloader = dict(
    batch_size=1,
    num_workers=2,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="CityscapesDataset",
        data_root="{{$OMGSEG_DATA:data}}/cityscapes/",
        data_prefix=dict(img="leftImg8bit/val/", seg="gtFine/val/"),
        vocabulary="cityscapes",
        image_size=(2048, 1024),
        tasks=("panoptic", "instance", "semantic"),
        test_mode=True,
        pipeline=[dict(type="LoadFrames"), dict(type="Resize"), dict(type="PackClip")],
    ),
)

cityscapes_evaluator = [
    dict(
        type="CocoPanopticMetric",
        ann_file="{{$OMGSEG_DATA:data}}/cityscapes/gtFine/cityscapes_panoptic_val.json",
        seg_prefix="{{$OMGSEG_DATA:data}}/cityscapes/gtFine/cityscapes_panoptic_val/",
    ),
    dict(type="CityscapesInstanceMetric", seg_prefix="{{$OMGSEG_DATA:data}}/cityscapes/gtFine/val/"),
    dict(type="SemanticMetric", ignore_unknown=True),
]
