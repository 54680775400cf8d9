"""YOLACT++-550 with ResNet-101: every third block of the last stages is deformable.

Weights: yolact_plus_base_54_800000.pth (MIT).
"""

_base_ = ["./yolact_plus_r50_coco.py"]

model = dict(backbone=dict(depth=101, init_cfg=dict(checkpoint="resnet101-63fe2227.pth")), deform_interval=3)
