"""DAVIS 2017: video object segmentation, evaluation only. See data/README.md#davis."""

_base_ = []
from omgseg import recipes

davis17_test_dataloader = recipes.test_loader(
    "DAVISDataset",
    "{{$OMGSEG_DATA:data}}/DAVIS/",
    img="JPEGImages/480p/",
    seg="Annotations/480p/",
    ann_file="ImageSets/2017/val.txt",
    pipeline=recipes.test_steps(truth=dict(type="LoadSegments", first_frame_only=True)),
)
davis17_evaluator = dict(type="DavisMetric")
