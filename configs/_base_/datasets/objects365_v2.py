"""Objects365 v2 with pseudo masks, training only. See data/README.md#objects365."""

objects365_v2_train = dict(
    type="Objects365Dataset",
    data_root="{{$OMGSEG_DATA:data}}/objects365v2/",
    ann_file="annotations/objects365_v2_train_masks.json",
    data_prefix=dict(img="train/"),
    vocabulary="objects365_v2",
    image_size=(1024, 1024),
    pipeline=[
        dict(type="LoadFrames"),
        dict(type="LoadSegments"),
        dict(type="LargeScaleJitter", ratio_range=(0.1, 2.0)),
        dict(type="RandomFlip"),
        dict(type="PackClip"),
    ],
)
