"""Prompted masks of LVIS v1 as the small SAMs are evaluated: box, centre, and two corrective points on each.

Each object of the validation file. See data/README.md#lvis.
"""

_base_ = ["../_base_/benchmark.py", "../_base_/datasets/lvis_v1.py"]
from omgseg import recipes

test_dataloader = _base_.lvis_v1_test_dataloader
test_dataloader.dataset.update(type="LVISPromptDataset", vocabulary=None, pipeline=recipes.TEST_BOXES)
test_evaluator = [dict(type="RefinementMetric")]
test_cfg = dict(type="RefinementLoop", num_points=2)
segmenter = dict(single_mask=True)  # as published: a single click gets one mask, not the best of three

# EdgeSAM, arXiv:2312.06660v3, Tables 2 and 3
benchmark = {
    "interactive/mIoU_box": dict(sam=77.8, mobile_sam=73.1, efficient_sam_ti=74.6, edge_sam=76.2),
    "interactive/mIoU_box+1": dict(sam=78.3, mobile_sam=73.7, efficient_sam_ti=75.2, edge_sam=77.3),
    "interactive/mIoU_box+2": dict(sam=78.5, mobile_sam=74.0, efficient_sam_ti=75.1, edge_sam=78.0),
    "interactive/mIoU_centre": dict(sam=60.5, mobile_sam=52.1, efficient_sam_ti=56.4, edge_sam=53.7),
    "interactive/mIoU_centre+1": dict(sam=68.1, mobile_sam=59.9, efficient_sam_ti=62.5, edge_sam=63.4),
    "interactive/mIoU_centre+2": dict(sam=70.7, mobile_sam=63.0, efficient_sam_ti=65.4, edge_sam=67.7),
}
