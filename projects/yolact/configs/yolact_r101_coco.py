"""YOLACT-550 with ResNet-101. Weights: yolact_base_54_800000.pth (MIT)."""

_base_ = ["./yolact_r50_coco.py"]

model = dict(backbone=dict(depth=101, init_cfg=dict(checkpoint="resnet101-63fe2227.pth")))
