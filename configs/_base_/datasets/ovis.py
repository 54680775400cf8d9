"""OVIS: YouTube-VIS with heavy occlusion, other categories and folders. See data/README.md#ovis."""

_base_ = []
from omgseg import recipes

__root = "{{$OMGSEG_DATA:data}}/ovis/"
__train = dict(img="train/", ann_file="annotations_train.json", vocabulary="ovis")
__valid = dict(img="valid/", ann_file="annotations_valid.json", vocabulary="ovis")

ovis_train = recipes.train_clips("OVISDataset", __root, **__train)
ovis_test_dataloader = recipes.test_loader("OVISDataset", __root, **__valid)
ovis_evaluator = dict(type="YouTubeVISMetric", ann_file=__root + __valid["ann_file"])
