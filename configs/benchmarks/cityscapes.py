"""Panoptic, instance and semantic segmentation of Cityscapes in one run. See data/README.md#cityscapes."""

_base_ = ["../_base_/benchmark.py", "../_base_/datasets/cityscapes.py"]

test_dataloader = _base_.cityscapes_test_dataloader
test_evaluator = _base_.cityscapes_evaluator

benchmark = {
    "coco_panoptic/PQ": dict(convnext_l=65.7, convnext_xxl=65.3),
    "cityscapes/AP": None,
    "semantic/mIoU": None,
}
