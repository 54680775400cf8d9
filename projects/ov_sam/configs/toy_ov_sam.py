"""A small OV-SAM on the CLIP of the toy world (make demo), with the embedding of configs/toy/sam.py: 16 x 16 cells of
64 channels. That SAM sees the images of 128 pixels enlarged; this model sees them as they are, as its CLIP has."""

_base_ = ["../../../configs/_base_/runtime.py"]

custom_imports = dict(imports=["omgseg.toy", "omgseg.projects.ov_sam"])

toy_root = "{{$OMGSEG_TOY:work_dirs/demo}}/"
image_size = 128
__size = dict(image_size=image_size, embed_dim=64, stride=8)
__clip = dict(model_name="omgseg_toy", pretrained=toy_root + "clip.safetensors")
model = dict(
    type="OpenVocabularySAM",
    image_encoder=dict(
        type="OVSamImageEncoder",
        trunk=dict(type="ClipConvNeXt", **__clip, mean=None, std=None),
        **__size,
        width=96,
        depth=2,
        num_heads=4,
        window_size=8,
    ),
    prompt_encoder=dict(type="SamPromptEncoder", **__size, position_scale=0.5),
    mask_decoder=dict(type="LabelMaskDecoder", embed_dim=64, clip_dim=64, num_heads=4, mlp_dim=128),
    regions=dict(type="RegionEmbedder", channels=32, size=6, finest_scale=16),
    text_encoder=dict(type="CLIPTextEncoder", **__clip, templates="photo", cache_dir=toy_root + "cache"),
)
