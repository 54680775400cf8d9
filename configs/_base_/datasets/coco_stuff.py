"""COCO-Stuff: semantic segmentation, 171 classes. See data/README.md#coco-stuff."""

_base_ = []
from omgseg import recipes

__root = "{{$OMGSEG_DATA:data}}/coco/"

coco_stuff_train = recipes.train_images(
    "COCOStuffDataset", __root, img="train2017/", seg="stuffthingmaps/train2017/"
)
coco_stuff_test_dataloader = recipes.test_loader(
    "COCOStuffDataset", __root, image_size=(2048, 512), img="val2017/", seg="stuffthingmaps/val2017/"
)
coco_stuff_evaluator = dict(type="SemanticMetric")
