"""Prompted masks of SA-1B as the small SAMs are evaluated: box, centre, and two corrective points on each.

The first 1000 images that are there, at most 64 masks of each; the paper has 1000 of its own. See
data/README.md#sa-1b.
"""

_base_ = ["../_base_/benchmark.py"]
from omgseg import recipes

test_dataloader = recipes.test_loader(
    "SA1BDataset",
    "{{$OMGSEG_DATA:data}}/sa1b/",
    img="",
    image_size=recipes.COCO_TEST_SIZE,
    indices=1000,
    max_masks=64,
    seeded_masks=True,
    pipeline=recipes.TEST_BOXES,
)
test_evaluator = [dict(type="RefinementMetric")]
test_cfg = dict(type="RefinementLoop", num_points=2)
segmenter = dict(single_mask=True)  # as published: a single click gets one mask, not the best of three

# EdgeSAM, arXiv:2312.06660v3, Tables 2 and 3
benchmark = {
    "interactive/mIoU_box": dict(sam=86.7, mobile_sam=82.0, edge_sam=83.0),
    "interactive/mIoU_box+1": dict(sam=86.7, mobile_sam=82.4, edge_sam=83.7),
    "interactive/mIoU_box+2": dict(sam=87.1, mobile_sam=82.7, edge_sam=84.1),
    "interactive/mIoU_centre": dict(sam=76.5, mobile_sam=64.6, edge_sam=67.5),
    "interactive/mIoU_centre+1": dict(sam=83.4, mobile_sam=73.4, edge_sam=76.1),
    "interactive/mIoU_centre+2": dict(sam=85.1, mobile_sam=76.2, edge_sam=79.0),
}
