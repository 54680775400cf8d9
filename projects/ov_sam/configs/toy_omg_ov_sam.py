"""The toy world's OMG-Seg and an OV-SAM of its size on one CLIP; see omg_ov_sam.py.

The embedding has the grid of the toy SAM's (configs/toy/sam.py), 16 x 16 cells of 64 channels.
"""

_base_ = ["../../../configs/toy/joint.py"]

custom_imports = dict(imports=["omgseg.toy", "omgseg.projects.ov_sam"])
__size = dict(image_size=_base_.image_size[0], embed_dim=64, stride=8)
__clip = dict(model_name="omgseg_toy", pretrained=_base_.clip_weights)
model = dict(
    _delete_=True,
    type="OMGOVSam",
    omg_seg=_base_.model,
    ov_sam=dict(
        type="OpenVocabularySAM",
        image_encoder=dict(
            type="OVSamImageEncoder",
            trunk=dict(type="ClipConvNeXt", **__clip, mean=None, std=None),
            **__size,
            width=128,
            depth=2,
            num_heads=4,
        ),
        prompt_encoder=dict(type="SamPromptEncoder", **__size, position_scale=0.5),
        mask_decoder=dict(type="LabelMaskDecoder", embed_dim=64, clip_dim=64, num_heads=4, mlp_dim=128),
        regions=dict(type="RegionEmbedder", channels=64, size=6, finest_scale=16),
        text_encoder=dict(
            type="CLIPTextEncoder", **__clip, templates="photo", cache_dir=_base_.toy_root + "cache"
        ),
    ),
)
