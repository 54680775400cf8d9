"""COCO panoptic images as clips: two views of one image. See data/README.md#coco."""

coco_pseudo_clips_train = dict(
    type="CocoPanopticDataset",
    data_root="{{$OMGSEG_DATA:data}}/coco/",
    ann_file="annotations/panoptic_train2017.json",
    data_prefix=dict(img="train2017/", seg="annotations/panoptic_train2017/"),
    vocabulary="coco_panoptic",
    image_size=(1280, 736),
    pipeline=[
        dict(type="LoadFrames"),
        dict(type="LoadSegments"),
        dict(
            type="PseudoClip",
            num_frames=2,
            transforms=[dict(type="LargeScaleJitter", ratio_range=(0.8, 2.0)), dict(type="RandomFlip")],
        ),
        dict(type="PackClip"),
    ],
)
