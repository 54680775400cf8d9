"""Prompted masks of COCO val2017 as the small SAMs are evaluated: box, centre, and two corrective points on each.

Each object of the instance annotations that is not a crowd. See data/README.md#coco.
"""

_base_ = ["../_base_/benchmark.py", "../_base_/datasets/coco_instance.py"]
from omgseg import recipes

test_dataloader = _base_.coco_instance_test_dataloader
test_dataloader.dataset.update(type="CocoInstancePromptDataset", vocabulary=None, pipeline=recipes.TEST_BOXES)
test_evaluator = [dict(type="RefinementMetric")]
test_cfg = dict(type="RefinementLoop", num_points=2)
segmenter = dict(single_mask=True)  # as published: a single click gets one mask, not the best of three

# EdgeSAM, arXiv:2312.06660v3, Tables 2 and 3
benchmark = {
    "interactive/mIoU_box": dict(sam=77.3, mobile_sam=74.4, efficient_sam_ti=75.2, edge_sam=76.7),
    "interactive/mIoU_box+1": dict(sam=77.7, mobile_sam=74.8, efficient_sam_ti=76.0, edge_sam=78.1),
    "interactive/mIoU_box+2": dict(sam=78.1, mobile_sam=75.1, efficient_sam_ti=76.6, edge_sam=79.0),
    "interactive/mIoU_centre": dict(sam=53.6, mobile_sam=50.9, efficient_sam_ti=49.8, edge_sam=48.0),
    "interactive/mIoU_centre+1": dict(sam=67.4, mobile_sam=63.0, efficient_sam_ti=60.5, edge_sam=61.8),
    "interactive/mIoU_centre+2": dict(sam=71.7, mobile_sam=66.8, efficient_sam_ti=65.7, edge_sam=68.7),
}
