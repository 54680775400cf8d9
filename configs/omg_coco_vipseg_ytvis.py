"""The main joint training: COCO panoptic, COCO pseudo clips, COCO prompts, VIPSeg and YouTube-VIS 2019.

tools/dist_train.sh configs/omg_coco_vipseg_ytvis.py 8
"""

_base_ = [
    "./_base_/models/omg_convnext_l.py",
    "./_base_/datasets/joint_coco_vipseg_ytvis.py",
    "./_base_/schedules/joint_12e.py",
    "./_base_/runtime.py",
]
