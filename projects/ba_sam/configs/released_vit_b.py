"""The network of BA-SAM's released code: ViT-B without absolute positions; the relative ones have a learned factor."""

_base_ = ["../../../configs/sam/sam_vit_b.py"]

model = dict(image_encoder=dict(scale_attention=True, position_coefficient=0.1, absolute_positions=False))
