"""Video object segmentation of DAVIS 2017 by a model that never saw it. See data/README.md#davis.

As published: an object of the first frame may continue in one of the 25 tubes of the highest objectness.
"""

_base_ = ["../_base_/benchmark.py", "../_base_/datasets/davis17.py"]

readout = dict(num_proposals=25)
model = dict(test_cfg=readout)
test_dataloader = _base_.davis17_test_dataloader
test_evaluator = [{**_base_.davis17_evaluator, "submission": "work_dirs/submissions/davis17_ov.zip"}]

benchmark = {"davis/J&F": dict(convnext_l=74.3, convnext_xxl=76.9), "davis/J": None, "davis/F": None}
