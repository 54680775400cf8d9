"""Segment Anything, ViT-B: clicks, boxes, masks, everything. Weights: sam_vit_b_01ec64.pth."""

_base_ = ["../_base_/models/sam_vit_b.py"]
default_scope = "omgseg"
