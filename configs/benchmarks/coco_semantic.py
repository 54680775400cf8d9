"""Semantic segmentation of COCO val2017, against class maps made of the panoptic files. See data/README.md#coco."""

_base_ = ["../_base_/benchmark.py", "../_base_/datasets/coco_panoptic.py"]

test_dataloader = _base_.coco_panoptic_test_dataloader
test_dataloader.dataset.tasks = ("semantic",)
test_evaluator = [dict(type="SemanticMetric", prefix="coco_semantic")]

benchmark = {"coco_semantic/mIoU": None, "coco_semantic/mIoU_gt": None, "coco_semantic/aAcc": None}
