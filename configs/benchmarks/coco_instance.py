"""Instance segmentation of COCO val2017. See data/README.md#coco."""

_base_ = ["../_base_/benchmark.py", "../_base_/datasets/coco_panoptic.py"]

test_dataloader = _base_.coco_panoptic_test_dataloader
test_dataloader.dataset.tasks = ("instance",)
test_evaluator = [{**_base_.coco_panoptic_evaluator[1], "boundary": True}]

benchmark = {
    "coco_instance/AP": dict(convnext_l=44.5, convnext_xxl=46.5),
    "coco_instance/AP50": None,
    "coco_instance/AP_boundary": None,
}
