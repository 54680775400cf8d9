"""COCO panoptic: images with classes. See data/README.md#coco."""

_base_ = []
from omgseg import recipes

__root = "{{$OMGSEG_DATA:data}}/coco/"
__words = dict(vocabulary="coco_panoptic")

coco_panoptic_train = recipes.train_images(
    "CocoPanopticDataset", __root, **recipes.coco_panoptic_files("train2017"), **__words
)
coco_panoptic_test_dataloader = recipes.test_loader(
    "CocoPanopticDataset",
    __root,
    image_size=recipes.COCO_TEST_SIZE,
    **recipes.coco_panoptic_files("val2017"),
    **__words,
)
coco_panoptic_evaluator = recipes.coco_panoptic_metrics(
    __root + "annotations/", "panoptic_val2017", "instances_val2017"
)
