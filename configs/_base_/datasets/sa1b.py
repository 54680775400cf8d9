"""SA-1B: class-agnostic masks to prompt for, training only. See data/README.md#sa-1b."""

sa1b_train = dict(
    type="SA1BDataset",
    data_root="{{$OMGSEG_DATA:data}}/sa1b/",
    data_prefix=dict(img=""),
    # Three for each of the 20 prompts: the crop leaves some outside.
    max_masks=60,
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
