"""LVIS v1: 1203 categories on COCO's images, evaluation only. See data/README.md#lvis."""

_base_ = []
from omgseg import recipes

__root = "{{$OMGSEG_DATA:data}}/coco/"
__val = dict(img="", ann_file="annotations/lvis_v1_val.json", vocabulary="lvis_v1")

lvis_v1_test_dataloader = recipes.test_loader(
    "LVISDataset", __root, image_size=recipes.COCO_TEST_SIZE, **__val
)
lvis_v1_evaluator = dict(type="LVISMetric", ann_file=__root + __val["ann_file"])
