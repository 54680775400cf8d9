"""Masks of LVIS v1 for the boxes of a given detector: tools/test.py --boxes FILE, a COCO result file.

Categories and scores stay the detector's. See data/README.md#lvis.
"""

_base_ = ["../_base_/benchmark.py", "../_base_/datasets/lvis_v1.py"]

test_dataloader = _base_.lvis_v1_test_dataloader
test_evaluator = [_base_.lvis_v1_evaluator]
test_cfg = dict(
    type="DetectedBoxLoop", boxes="{{$OMGSEG_DATA:data}}/coco/annotations/lvis_v1_detections_val.json"
)

# OV-SAM, arXiv:2401.02955v2, Table S2: 44.0 with the boxes of ViTDet-H, 42.6 with Detic's
benchmark = {"lvis/AP": dict(ov_sam=44.0), "lvis/APr": None, "lvis/APc": None, "lvis/APf": None}
