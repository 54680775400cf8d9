"""SAM ViT-H makes the mask, CLIP's RN50x16 names a crop of the image. Weights: sam_vit_h_4b8939.pth."""

_base_ = ["../../../configs/sam/sam_vit_h.py"]

default_scope = "omgseg"
custom_imports = dict(imports=["omgseg.projects.ov_sam"])

__clip = dict(model_name="RN50x16-quickgelu", pretrained="openai")
segmenter = dict(
    type="ImageCropNamer",
    clip=dict(type="ClipResNet", **__clip),
    text_encoder=dict(type="CLIPTextEncoder", **__clip, templates="vild"),
)
