"""Instance segmentation of LVIS v1, not in the training: open vocabulary. See data/README.md#lvis."""

_base_ = ["../_base_/benchmark.py", "../_base_/datasets/lvis_v1.py"]

readout = dict(ensemble=True, max_per_image=300)
model = dict(test_cfg=readout)
test_dataloader = _base_.lvis_v1_test_dataloader
test_evaluator = [_base_.lvis_v1_evaluator]

benchmark = {"lvis/AP": None, "lvis/APr": None, "lvis/APc": None, "lvis/APf": None}
