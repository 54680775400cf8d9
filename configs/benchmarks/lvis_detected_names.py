"""Masks of LVIS v1 for the boxes of a given detector, named by the model; the scores stay the detector's.

tools/test.py --boxes FILE, a COCO result file. See data/README.md#lvis.
"""

_base_ = ["./lvis_detected_boxes.py"]

test_cfg = dict(labels="model")

# OV-SAM, arXiv:2401.02955v2, Table 2, with the boxes of Detic
benchmark = {
    "_delete_": True,
    "lvis/AP": dict(ov_sam=22.4),
    "lvis/APr": dict(ov_sam=24.0),
    "lvis/APc": dict(ov_sam=21.3),
    "lvis/APf": dict(ov_sam=22.9),
}
