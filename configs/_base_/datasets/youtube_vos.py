"""YouTube-VOS: video object segmentation, evaluation by the challenge's server. See data/README.md#youtube-vos."""

_base_ = []
from omgseg import recipes

youtube_vos_test_dataloader = recipes.test_loader(
    "YouTubeVOSDataset",
    "{{$OMGSEG_DATA:data}}/YouTubeVOS/",
    img="valid/JPEGImages/",
    seg="valid/Annotations/",
    ann_file="valid/meta.json",
    pipeline=recipes.test_steps(truth=dict(type="LoadSegments", first_masks_only=True)),
)
youtube_vos_evaluator = dict(type="YouTubeVOSMetric", submission="work_dirs/submissions/youtube_vos.zip")
