"""RAP-SAM with ResNet-50, for images, videos and prompts.

Weights: rapsam_r50_12e.pth (MIT). The words are compared with CLIP ConvNeXt-L's, which is a second download.
"""

_base_ = ["../../../configs/_base_/runtime.py"]
custom_imports = dict(imports=["omgseg.projects.rap_sam"])

clip_name = "convnext_large_d_320"
clip_weights = "laion2b_s29b_b131k_ft_soup"
channels = 256

model = dict(
    type="RapSAM",
    data_preprocessor=dict(type="ClipPreprocessor", size_divisor=32),
    image_encoder=dict(type="RapSamImageEncoder", depth=50),
    text_encoder=dict(
        type="CLIPTextEncoder", model_name=clip_name, pretrained=clip_weights, templates="vild"
    ),
    pixel_decoder=dict(type="LitePixelDecoder", channels=channels, widths=(128, 256, 512, 1024)),
    query_decoder=dict(
        type="DynamicQueryDecoder",
        num_queries=100,
        num_stages=3,
        channels=channels,
        num_heads=8,
        feedforward_channels=2048,
        embed_dim=768,
    ),
    prompt_encoder=dict(type="PromptEncoder", channels=channels),
    classifier=dict(type="CosineClassifier"),
    criterion=dict(type="SetCriterion", num_points=12544),
    test_cfg=dict(
        panoptic=dict(object_mask_thr=0.8, iou_thr=0.8, filter_low_score=True),
        max_per_image=100,
        ensemble=False,
        clip_size=5,
        short_video=15,
        short_clip_size=3,
        num_candidates=100,
        recognition=-1.0,  # none: as published, queries of two clips are matched however unlike they are
    ),
)
