"""The main joint training with the ConvNeXt-XXL CLIP: same data, same schedule.

tools/dist_train.sh configs/omg_convnext_xxlarge_coco_vipseg_ytvis.py 8 --amp
"""

_base_ = [
    "./_base_/models/omg_convnext_xxl.py",
    "./_base_/datasets/joint_coco_vipseg_ytvis.py",
    "./_base_/schedules/joint_12e.py",
    "./_base_/runtime.py",
]
