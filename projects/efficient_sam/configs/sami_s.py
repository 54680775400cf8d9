"""SAMI for EfficientSAM-S, as sami_ti.py."""

_base_ = ["./sami_ti.py"]

model = dict(image_encoder=dict(width=384, num_heads=6))
