"""PASCAL VOC 2012: semantic segmentation of 20 objects. See data/README.md#pascal-voc-and-pascal-context."""

_base_ = []
from omgseg import recipes

__root = "{{$OMGSEG_DATA:data}}/VOCdevkit/VOC2012/"
__files = dict(img="JPEGImages/", seg="SegmentationClass/")
__list = "ImageSets/Segmentation/"

pascal_voc_train = recipes.train_images("PascalVOCDataset", __root, ann_file=__list + "train.txt", **__files)
pascal_voc_test_dataloader = recipes.test_loader(
    "PascalVOCDataset", __root, image_size=(2048, 512), ann_file=__list + "val.txt", **__files
)
pascal_voc_evaluator = dict(type="SemanticMetric", ignore_ids=(0, 255))
