"""Joint training on the five sources of the paper with the ConvNeXt-XXL CLIP.

tools/dist_train.sh configs/omg_convnext_xxlarge_coco_vipseg_ytvis_city_sam.py 8
"""

_base_ = [
    "./_base_/models/omg_convnext_xxl.py",
    "./_base_/datasets/joint_coco_vipseg_ytvis_city_sam.py",
    "./_base_/schedules/joint_12e.py",
    "./_base_/runtime.py",
]
