"""Video panoptic segmentation of VIPSeg. See data/README.md#vipseg."""

_base_ = ["../_base_/benchmark.py", "../_base_/datasets/vipseg.py"]

readout = dict(clip_size=2)  # of videos above 15 frames, as published
model = dict(test_cfg=readout)
test_dataloader = _base_.vipseg_test_dataloader
test_evaluator = [_base_.vipseg_evaluator]

benchmark = {"vipseg/VPQ": dict(convnext_l=49.8, convnext_xxl=53.1), "vipseg/STQ": None}
