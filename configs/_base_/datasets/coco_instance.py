"""Images in the COCO instance format: COCO's own. See data/README.md#coco, and #your-own-data for other data."""

_base_ = []
from omgseg import recipes

__root = "{{$OMGSEG_DATA:data}}/coco/"
__train = dict(img="train2017/", ann_file="annotations/instances_train2017.json", vocabulary="coco_panoptic")
__val = dict(img="val2017/", ann_file="annotations/instances_val2017.json", vocabulary="coco_panoptic")

coco_instance_train = recipes.train_images("CocoInstanceDataset", __root, **__train)
coco_instance_test_dataloader = recipes.test_loader(
    "CocoInstanceDataset", __root, image_size=recipes.COCO_TEST_SIZE, **__val
)
coco_instance_evaluator = dict(type="CocoInstanceMetric", ann_file=__root + __val["ann_file"])
