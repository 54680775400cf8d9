"""Segment Anything with ViT-B; L and H change the image encoder."""

model = dict(
    type="SAM",
    data_preprocessor=dict(type="ClipPreprocessor"),
    image_encoder=dict(
        type="SamImageEncoder",
        image_size=1024,
        width=768,
        depth=12,
        num_heads=12,
        global_layers=(2, 5, 8, 11),
    ),
    prompt_encoder=dict(type="SamPromptEncoder", image_size=1024),
    mask_decoder=dict(type="SamMaskDecoder"),
)
