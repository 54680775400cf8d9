"""Video semantic segmentation of VSPW. See data/README.md#vspw."""

_base_ = ["../_base_/benchmark.py", "../_base_/datasets/vspw.py"]

test_dataloader = _base_.vspw_test_dataloader
test_evaluator = [_base_.vspw_evaluator]

benchmark = {"vspw/mIoU": None, "vspw/VC8": None, "vspw/VC16": None}
