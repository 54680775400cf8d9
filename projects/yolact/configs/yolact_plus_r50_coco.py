"""YOLACT++-550 with ResNet-50: deformable convolutions, more anchors and mask re-scoring.

Weights: yolact_plus_resnet50_54_800000.pth (MIT).
"""

_base_ = ["./yolact_r50_coco.py"]

model = dict(
    scales=[[base * 2 ** (step / 3) for step in range(3)] for base in (24, 48, 96, 192, 384)],
    square_anchors=False,
    deform_interval=1,
    rescoring=True,
)
