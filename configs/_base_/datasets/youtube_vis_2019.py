"""YouTube-VIS 2019. See data/README.md#youtube-vis."""

_base_ = []
from omgseg import recipes

__root = "{{$OMGSEG_DATA:data}}/youtube_vis_2019/"
__train = dict(
    img="train/JPEGImages/", ann_file="annotations/youtube_vis_2019_train.json", vocabulary="youtube_vis_2019"
)
__valid = dict(
    img="valid/JPEGImages/", ann_file="annotations/youtube_vis_2019_valid.json", vocabulary="youtube_vis_2019"
)

youtube_vis_2019_train = recipes.train_clips("YouTubeVISDataset", __root, **__train)
youtube_vis_2019_test_dataloader = recipes.test_loader("YouTubeVISDataset", __root, **__valid)
youtube_vis_2019_evaluator = dict(type="YouTubeVISMetric", ann_file=__root + __valid["ann_file"])
