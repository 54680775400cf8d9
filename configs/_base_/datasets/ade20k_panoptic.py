"""ADE20K, 150 categories: panoptic, instance and semantic segmentation. See data/README.md#ade20k."""

_base_ = []
from omgseg import recipes

__root = "{{$OMGSEG_DATA:data}}/ADEChallengeData2016/"
__train = dict(img="images/training/", seg="ade20k_panoptic_train/", ann_file="ade20k_panoptic_train.json")
__val = dict(img="images/validation/", seg="ade20k_panoptic_val/", ann_file="ade20k_panoptic_val.json")
__tasks = ("panoptic", "instance", "semantic")

ade20k_panoptic_train = recipes.train_images("ADE20KDataset", __root, vocabulary="ade20k", **__train)
ade20k_panoptic_test_dataloader = recipes.test_loader(
    "ADE20KDataset", __root, image_size=(2560, 640), vocabulary="ade20k", tasks=__tasks, **__val
)
ade20k_panoptic_evaluator = [
    *recipes.coco_panoptic_metrics(__root, "ade20k_panoptic_val", "ade20k_instance_val"),
    dict(type="SemanticMetric", seg_prefix=__root + "annotations/validation/", reduce_zero_label=True),
]
