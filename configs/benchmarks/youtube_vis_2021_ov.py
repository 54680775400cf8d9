"""Video instance segmentation of YouTube-VIS 2021, not in the training. See data/README.md#youtube-vis.

As in youtube_vis_2019.py, results are written for the challenge's server.
"""

_base_ = ["../_base_/benchmark.py", "../_base_/datasets/youtube_vis_2021.py"]

test_dataloader = _base_.youtube_vis_2021_test_dataloader
test_evaluator = [
    {**_base_.youtube_vis_2021_evaluator, "submission": "work_dirs/submissions/youtube_vis_2021.zip"}
]

benchmark = {"youtube_vis/AP": dict(convnext_l=50.5, convnext_xxl=55.2)}
