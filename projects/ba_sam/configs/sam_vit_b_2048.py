"""SAM ViT-B on images of 2048 pixels, without any training. Weights: sam_vit_b_01ec64.pth."""

_base_ = ["../../../configs/sam/sam_vit_b.py"]

image_size = 2048

model = dict(
    image_encoder=dict(image_size=image_size, trained_size=1024, scale_attention=True),
    prompt_encoder=dict(image_size=image_size),
)
