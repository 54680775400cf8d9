"""Video instance segmentation of OVIS, with heavy occlusion. See data/README.md#ovis.

The annotations of the valid split are not public: the results are written for the challenge's server.
"""

_base_ = ["../_base_/benchmark.py", "../_base_/datasets/ovis.py"]

test_dataloader = _base_.ovis_test_dataloader
test_evaluator = [{**_base_.ovis_evaluator, "submission": "work_dirs/submissions/ovis.zip"}]

benchmark = {"youtube_vis/AP": None, "youtube_vis/AP50": None}
