"""Panoptic, instance and semantic segmentation of ADE20K, not in the training, in one run. data/README.md#ade20k"""

_base_ = ["../_base_/benchmark.py", "../_base_/datasets/ade20k_panoptic.py"]

readout = dict(ensemble=True)
model = dict(test_cfg=readout)
test_dataloader = _base_.ade20k_panoptic_test_dataloader
test_evaluator = _base_.ade20k_panoptic_evaluator

benchmark = {
    "coco_panoptic/PQ": dict(convnext_l=27.9, convnext_xxl=27.8),
    "coco_instance/AP": None,
    "semantic/mIoU": None,
}
