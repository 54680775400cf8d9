"""EfficientSAM-Ti: clicks, boxes, everything. Weights: efficient_sam_vitt.pt (Apache-2.0)."""

_base_ = []
default_scope = "omgseg"
custom_imports = dict(imports=["omgseg.projects.efficient_sam"])

model = dict(
    type="EfficientSAM",
    data_preprocessor=dict(type="ClipPreprocessor"),
    image_encoder=dict(type="EfficientSamImageEncoder", image_size=1024, width=192, num_heads=3),
    prompt_encoder=dict(type="EfficientSamPromptEncoder", image_size=1024),
    mask_decoder=dict(type="EfficientSamMaskDecoder"),
)
segmenter = dict(all_candidates=True)
