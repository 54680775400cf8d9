# OMG-Seg with the frozen ConvNeXt-L CLIP of the paper. Derived configs change sizes by these keys.
clip_name = "convnext_large_d_320"
clip_weights = "laion2b_s29b_b131k_ft_soup"
channels = 256

model = dict(
    type="OMGSeg",
    data_preprocessor=dict(type="ClipPreprocessor", size_divisor=32),
    image_encoder=dict(
        type="CLIPImageEncoder",
        model_name=clip_name,
        pretrained=clip_weights,
        frozen=True,
        # ImageNet's statistics, which the published weights were trained and tested with, rather than CLIP's own
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
    ),
    text_encoder=dict(
        type="CLIPTextEncoder", model_name=clip_name, pretrained=clip_weights, templates="vild"
    ),
    pixel_decoder=dict(
        type="PixelDecoder",
        feat_channels=channels,
        out_channels=channels,
        num_outs=3,
        norm_cfg=dict(type="GN", num_groups=32),
        act_cfg=dict(type="ReLU"),
        encoder=dict(
            num_layers=6,
            layer_cfg=dict(
                self_attn_cfg=dict(embed_dims=channels, num_heads=8, num_levels=3, num_points=4, dropout=0.0),
                ffn_cfg=dict(embed_dims=channels, feedforward_channels=1024, num_fcs=2, ffn_drop=0.0),
            ),
        ),
        positional_encoding=dict(num_feats=channels // 2, normalize=True),
    ),
    query_decoder=dict(
        type="SharedQueryDecoder",
        num_queries=300,
        num_layers=9,
        channels=channels,
        num_heads=8,
        feedforward_channels=2048,
    ),
    # corrections=True: further clicks, boxes and masks are trained, too; docs/training.md#prompts
    prompt_encoder=dict(type="PromptEncoder", channels=channels, corrections=False),
    prompt_training=dict(max_corrections=4, single_share=0.5, box_share=0.35, mask_share=0.5),
    classifier=dict(type="OpenVocabularyClassifier", channels=channels),
    criterion=dict(type="SetCriterion", num_points=12544),
    test_cfg=dict(
        panoptic=dict(object_mask_thr=0.0, iou_thr=0.8, filter_low_score=True),
        max_per_image=100,
        ensemble=True,
        alpha=0.4,
        beta=0.8,
        clip_size=5,
        short_video=15,
        short_clip_size=3,
        num_proposals=25,
        num_candidates=100,
    ),
)
