"""Panoptic segmentation of COCO val2017. See data/README.md#coco."""

_base_ = ["../_base_/benchmark.py", "../_base_/datasets/coco_panoptic.py"]

test_dataloader = _base_.coco_panoptic_test_dataloader
test_dataloader.dataset.tasks = ("panoptic",)
test_evaluator = [_base_.coco_panoptic_evaluator[0]]

benchmark = {
    "coco_panoptic/PQ": dict(convnext_l=53.8, convnext_xxl=55.4),
    "coco_panoptic/PQ_th": None,
    "coco_panoptic/PQ_st": None,
}
