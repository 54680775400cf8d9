"""Open-Vocabulary SAM's protocol on COCO val2017: masks for boxes and for centre points, and their names.

For models that take boxes and name masks. The objects are those of 48 base and 17 novel categories that are no crowd;
the model scores all things, and names a mask with the best of the 65. See data/README.md#coco.
"""

_base_ = ["../_base_/benchmark.py", "../_base_/datasets/coco_instance.py"]
from omgseg import recipes

groups = recipes.COCO_48_17
test_dataloader = _base_.coco_instance_test_dataloader
test_dataloader.dataset.pipeline = recipes.TEST_BOXES
test_evaluator = [dict(type="NamingMetric", groups=groups)]
test_cfg = dict(type="NamedPromptLoop", category_ids=[*groups["base"], *groups["novel"]])

# arXiv:2401.02955v2, Table 1
benchmark = {
    "naming/mIoU_box_base": dict(ov_sam=81.5),
    "naming/mIoU_box_novel": dict(ov_sam=84.0),
    "naming/Acc_box": dict(ov_sam=84.3),
    "naming/Acc_box_base": None,
    "naming/Acc_box_novel": None,
    "naming/mIoU_centre_base": dict(ov_sam=68.4),
    "naming/mIoU_centre_novel": dict(ov_sam=65.2),
    "naming/Acc_centre": dict(ov_sam=76.7),
    "naming/Acc_centre_base": None,
    "naming/Acc_centre_novel": None,
}
