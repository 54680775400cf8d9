"""VIPSeg: video panoptic segmentation. See data/README.md#vipseg."""

_base_ = []
from omgseg import recipes

__root = "{{$OMGSEG_DATA:data}}/VIPSeg/"
__folders = dict(img="imgs/", seg="panomasks/", vocabulary="vipseg")

vipseg_train = recipes.train_clips("VIPSegDataset", __root, ann_file="train.txt", **__folders)
vipseg_test_dataloader = recipes.test_loader("VIPSegDataset", __root, ann_file="val.txt", **__folders)
vipseg_evaluator = dict(type="VideoPanopticMetric")
