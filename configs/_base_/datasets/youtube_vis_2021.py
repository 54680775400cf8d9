"""YouTube-VIS 2021: other videos, categories and files than 2019, all else the same. See data/README.md#youtube-vis."""

_base_ = ["./youtube_vis_2019.py"]

_names = dict(data_root="{{$OMGSEG_DATA:data}}/youtube_vis_2021/", vocabulary="youtube_vis_2021")

youtube_vis_2021_train = {
    **_base_.youtube_vis_2019_train,
    **_names,
    "ann_file": "train/instances.json",
}

youtube_vis_2021_test_dataloader = {
    **_base_.youtube_vis_2019_test_dataloader,
    "dataset": {
        **_base_.youtube_vis_2019_test_dataloader.dataset,
        **_names,
        "ann_file": "valid/instances.json",
    },
}

youtube_vis_2021_evaluator = dict(
    type="YouTubeVISMetric",
    ann_file="{{$OMGSEG_DATA:data}}/youtube_vis_2021/valid/instances.json",
)
