"""LVIS v1: 1203 categories on COCO's images, evaluation only. See data/README.md#lvis."""

lvis_v1_test_dataloader = dict(
    batch_size=1,
    num_workers=2,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="LVISDataset",
        data_root="{{$OMGSEG_DATA:data}}/coco/",
        ann_file="annotations/lvis_v1_val.json",
        data_prefix=dict(img=""),
        vocabulary="lvis_v1",
        image_size=(1333, 800),
        test_mode=True,
        pipeline=[dict(type="LoadFrames"), dict(type="Resize"), dict(type="PackClip")],
    ),
)

lvis_v1_evaluator = dict(
    type="LVISMetric", ann_file="{{$OMGSEG_DATA:data}}/coco/annotations/lvis_v1_val.json"
)
