"""The toy world's SAM (configs/toy/sam.py) makes the mask, its CLIP names a crop of the image."""

_base_ = ["../../../configs/toy/sam.py"]

default_scope = "omgseg"
custom_imports = dict(imports=["omgseg.toy", "omgseg.projects.ov_sam"])

__root = "{{$OMGSEG_TOY:work_dirs/demo}}/"
__clip = dict(model_name="omgseg_toy", pretrained=__root + "clip.safetensors")
segmenter = dict(
    type="ImageCropNamer",
    clip=dict(type="ClipConvNeXt", **__clip),
    text_encoder=dict(type="CLIPTextEncoder", **__clip, templates="photo", cache_dir=__root + "cache"),
)
