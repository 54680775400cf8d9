"""Masks of COCO val2017 for the boxes of a given detector: tools/test.py --boxes FILE, a COCO result file.

Categories and scores stay the detector's. See data/README.md#coco.
"""

_base_ = ["../_base_/benchmark.py", "../_base_/datasets/coco_instance.py"]

test_dataloader = _base_.coco_instance_test_dataloader
test_evaluator = [{**_base_.coco_instance_evaluator, "boundary": True}]
test_cfg = dict(
    type="DetectedBoxLoop", boxes="{{$OMGSEG_DATA:data}}/coco/annotations/detections_val2017.json"
)

# EdgeSAM, arXiv:2312.06660v3, Table 4, with the boxes of ViTDet-H (box AP 58.7), for which it has no boundary AP; and
# OV-SAM, arXiv:2401.02955v2, Table 4: 48.8 with the boxes of ViTDet-H, 36.7 with Detic's, 35.8 with Faster R-CNN's
benchmark = {
    "coco_instance/AP": dict(sam=46.1, mobile_sam=39.4, efficient_sam_ti=42.3, edge_sam=42.2, ov_sam=48.8),
    "coco_instance/APs": dict(sam=33.6, mobile_sam=26.9, efficient_sam_ti=26.7, edge_sam=29.6),
    "coco_instance/APm": dict(sam=51.9, mobile_sam=44.4, efficient_sam_ti=46.2, edge_sam=47.6),
    "coco_instance/APl": dict(sam=57.7, mobile_sam=52.2, efficient_sam_ti=57.4, edge_sam=53.9),
    "coco_instance/AP_boundary": None,
}
