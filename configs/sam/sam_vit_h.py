"""Segment Anything, ViT-H. Weights: sam_vit_h_4b8939.pth."""

_base_ = ["./sam_vit_b.py"]

model = dict(image_encoder=dict(width=1280, depth=32, num_heads=16, global_layers=(7, 15, 23, 31)))
