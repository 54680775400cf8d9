"""MobileSAM on images of 2048 pixels, without any training. Weights: mobile_sam.pt."""

_base_ = ["../../mobile_sam/configs/mobile_sam.py"]
custom_imports = dict(imports=["omgseg.projects.ba_sam"])

image_size = 2048

model = dict(
    image_encoder=dict(type="LargerMobileSamImageEncoder", image_size=image_size),
    prompt_encoder=dict(image_size=image_size),
)
