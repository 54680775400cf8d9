"""PASCAL Context: semantic segmentation, 59 classes. See data/README.md#pascal-voc-and-pascal-context."""

_base_ = []
from omgseg import recipes

__root = "{{$OMGSEG_DATA:data}}/VOCdevkit/VOC2010/"
__files = dict(img="JPEGImages/", seg="SegmentationClassContext/")
__list = "ImageSets/SegmentationContext/"

pascal_context_train = recipes.train_images(
    "PascalContextDataset", __root, ann_file=__list + "train.txt", **__files
)
pascal_context_test_dataloader = recipes.test_loader(
    "PascalContextDataset", __root, image_size=(2048, 512), ann_file=__list + "val.txt", **__files
)
pascal_context_evaluator = dict(type="SemanticMetric", ignore_ids=(0, 255))
