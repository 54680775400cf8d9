"""Interactive segmentation of COCO val2017: one point, a box, and up to five clicks on each mask.

Each thing and each stuff segment of the panoptic annotations is an object. See data/README.md#coco.
"""

_base_ = ["../_base_/benchmark.py", "../_base_/datasets/coco_prompts.py"]

test_dataloader = _base_.coco_prompts_test_dataloader
test_evaluator = [_base_.coco_prompts_evaluator]
test_cfg = dict(type="ClickLoop", num_clicks=5)

benchmark = {
    "interactive/mIoU": dict(convnext_l=58.0, convnext_xxl=59.3),
    "interactive/mIoU_box": None,
    "interactive/mIoU_clicks2": None,
    "interactive/mIoU_clicks3": None,
    "interactive/mIoU_clicks5": None,
    "interactive/NoC5@85": None,
    "interactive/NoC5@90": None,
}
