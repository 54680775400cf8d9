"""Video instance segmentation of the toy world."""

_base_ = ["./joint.py"]

test_dataloader = dict(_delete_=True, **_base_.youtube_vis_2019_test_dataloader)
test_dataloader["num_workers"] = 0
test_dataloader["dataset"].update(
    data_root=_base_.data_root + "youtube_vis_2019/", vocabulary=None, image_size=_base_.image_size
)
test_evaluator = [
    dict(
        type="YouTubeVISMetric",
        ann_file=_base_.data_root + "youtube_vis_2019/annotations/youtube_vis_2019_valid.json",
    )
]
