"""Segment Anything, ViT-L. Weights: sam_vit_l_0b3195.pth."""

_base_ = ["./sam_vit_b.py"]

model = dict(image_encoder=dict(width=1024, depth=24, num_heads=16, global_layers=(5, 11, 17, 23)))
