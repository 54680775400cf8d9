"""OVIS: YouTube-VIS with heavy occlusion, other categories and folders. See data/README.md#ovis."""

_base_ = ["./youtube_vis_2019.py"]

_names = dict(type="OVISDataset", data_root="{{$OMGSEG_DATA:data}}/ovis/", vocabulary="ovis")

ovis_train = {
    **_base_.youtube_vis_2019_train,
    **_names,
    "ann_file": "annotations_train.json",
    "data_prefix": dict(img="train/"),
}

ovis_test_dataloader = {
    **_base_.youtube_vis_2019_test_dataloader,
    "dataset": {
        **_base_.youtube_vis_2019_test_dataloader.dataset,
        **_names,
        "ann_file": "annotations_valid.json",
        "data_prefix": dict(img="valid/"),
    },
}

ovis_evaluator = dict(type="YouTubeVISMetric", ann_file="{{$OMGSEG_DATA:data}}/ovis/annotations_valid.json")
