"""Masks of COCO val2017 for the boxes of a given detector, named by the model; the scores stay the detector's.

48 base and 17 novel categories. tools/test.py --boxes FILE, a COCO result file. See data/README.md#coco.
"""

_base_ = ["./coco_detected_boxes.py"]
from omgseg import recipes

__groups = recipes.COCO_48_17
test_evaluator = [{**_base_.coco_instance_evaluator, "groups": __groups}]
test_cfg = dict(labels="model", category_ids=[*__groups["base"], *__groups["novel"]])

# OV-SAM, arXiv:2401.02955v2, Table 2, with the boxes of Detic
benchmark = {
    "_delete_": True,
    "coco_instance/AP": dict(ov_sam=32.4),
    "coco_instance/AP_base": dict(ov_sam=31.1),
    "coco_instance/AP_novel": dict(ov_sam=36.0),
}
