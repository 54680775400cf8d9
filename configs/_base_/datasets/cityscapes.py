"""Cityscapes: panoptic, instance and semantic segmentation of streets. See data/README.md#cityscapes."""

_base_ = []
from omgseg import recipes

__root = "{{$OMGSEG_DATA:data}}/cityscapes/"
__train = dict(img="leftImg8bit/train/", seg="gtFine/train/", vocabulary="cityscapes")
__val = dict(img="leftImg8bit/val/", seg="gtFine/val/", vocabulary="cityscapes")
__tasks = ("panoptic", "instance", "semantic")

cityscapes_train = recipes.train_images("CityscapesDataset", __root, jitter=(0.8, 1.5), **__train)
cityscapes_test_dataloader = recipes.test_loader(
    "CityscapesDataset", __root, image_size=(2048, 1024), tasks=__tasks, **__val
)
cityscapes_evaluator = [
    *recipes.coco_panoptic_metrics(__root + "gtFine/", "cityscapes_panoptic_val"),
    dict(type="CityscapesInstanceMetric", seg_prefix=__root + "gtFine/val/"),
    dict(type="SemanticMetric", ignore_unknown=True),
]
