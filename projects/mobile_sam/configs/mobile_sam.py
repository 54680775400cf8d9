"""MobileSAM: SAM's prompt encoder and mask decoder behind TinyViT. Weights: mobile_sam.pt (Apache-2.0)."""

_base_ = ["../../../configs/sam/sam_vit_b.py"]
custom_imports = dict(imports=["omgseg.projects.mobile_sam"])

model = dict(image_encoder=dict(_delete_=True, type="MobileSamImageEncoder"))
