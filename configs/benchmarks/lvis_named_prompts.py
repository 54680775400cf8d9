"""Open-Vocabulary SAM's protocol on LVIS v1: masks for boxes and for centre points, and their names out of 1203.

For models that take boxes and name masks. Frequent and common categories are base ones, rare ones novel, as the
annotation file says. See data/README.md#lvis.
"""

_base_ = ["../_base_/benchmark.py", "../_base_/datasets/lvis_v1.py"]
from omgseg import recipes

test_dataloader = _base_.lvis_v1_test_dataloader
test_dataloader.dataset.pipeline = recipes.TEST_BOXES
__groups = dict(base=["f", "c"], novel=["r"])
test_evaluator = [dict(type="NamingMetric", groups=__groups, ann_file=_base_.lvis_v1_evaluator.ann_file)]
test_cfg = dict(type="NamedPromptLoop")

# arXiv:2401.02955v2, Table 1
benchmark = {
    "naming/mIoU_box_base": dict(ov_sam=80.4),
    "naming/mIoU_box_novel": dict(ov_sam=83.1),
    "naming/Acc_box": dict(ov_sam=66.6),
    "naming/Acc_box_base": None,
    "naming/Acc_box_novel": None,
    "naming/mIoU_centre_base": dict(ov_sam=63.6),
    "naming/mIoU_centre_novel": dict(ov_sam=67.9),
    "naming/Acc_centre": dict(ov_sam=60.4),
    "naming/Acc_centre_base": None,
    "naming/Acc_centre_novel": None,
}
