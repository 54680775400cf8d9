"""Video instance segmentation of YouTube-VIS 2019. See data/README.md#youtube-vis.

The annotations of the valid split are not public: the results are written for the challenge's server. An annotation
file that has annotations is scored here, too.
"""

_base_ = ["../_base_/benchmark.py", "../_base_/datasets/youtube_vis_2019.py"]

test_dataloader = _base_.youtube_vis_2019_test_dataloader
test_evaluator = [
    {**_base_.youtube_vis_2019_evaluator, "submission": "work_dirs/submissions/youtube_vis_2019.zip"}
]

benchmark = {"youtube_vis/AP": dict(convnext_l=56.4, convnext_xxl=60.3)}
