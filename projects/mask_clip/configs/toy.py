"""MaskCLIP with the toy CLIP, which `make demo` or toy_proof.py trains."""

_base_ = ["./vit_b16.py"]

custom_imports = dict(imports=["omgseg.projects.mask_clip", "omgseg.toy"])

toy_root = "{{$OMGSEG_TOY:work_dirs/demo}}/"
segmenter = dict(
    model_name="omgseg_toy",
    pretrained=toy_root + "clip.safetensors",
    templates="photo",
    cache_dir=toy_root + "cache",
    scale=(128, 128),
)
