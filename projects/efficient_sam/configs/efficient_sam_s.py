"""EfficientSAM-S: clicks, boxes, everything. Weights: efficient_sam_vits.pt (Apache-2.0)."""

_base_ = ["./efficient_sam_ti.py"]

model = dict(image_encoder=dict(width=384, num_heads=6))
