"""VSPW: video semantic segmentation. Its classes are VIPSeg's. See data/README.md#vspw."""

_base_ = []
from omgseg import recipes

__root = "{{$OMGSEG_DATA:data}}/VSPW/"

vspw_train = recipes.train_clips(
    "VSPWDataset", __root, img="data/", ann_file="train.txt", vocabulary="vipseg"
)
vspw_test_dataloader = recipes.test_loader(
    "VSPWDataset", __root, img="data/", ann_file="val.txt", vocabulary="vipseg"
)
vspw_evaluator = dict(type="VideoSemanticMetric")
