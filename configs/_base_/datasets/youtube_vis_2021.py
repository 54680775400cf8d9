"""YouTube-VIS 2021: other videos, categories and files than 2019, all else the same. See data/README.md#youtube-vis."""

_base_ = []
from omgseg import recipes

__root = "{{$OMGSEG_DATA:data}}/youtube_vis_2021/"
__train = dict(img="train/JPEGImages/", ann_file="train/instances.json", vocabulary="youtube_vis_2021")
__valid = dict(img="valid/JPEGImages/", ann_file="valid/instances.json", vocabulary="youtube_vis_2021")

youtube_vis_2021_train = recipes.train_clips("YouTubeVISDataset", __root, **__train)
youtube_vis_2021_test_dataloader = recipes.test_loader("YouTubeVISDataset", __root, **__valid)
youtube_vis_2021_evaluator = dict(type="YouTubeVISMetric", ann_file=__root + __valid["ann_file"])
