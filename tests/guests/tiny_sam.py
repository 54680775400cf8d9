"""SAM and its successors with tiny random networks, which see squares of 64 pixels."""

import torch

from tests.guests.tiny import tokenizer, transformers

SIDE = 64
CHANNELS = 128
"""The fewest that networks for videos can be built with."""
SQUARE = {"height": SIDE, "width": SIDE}


def parts(patch: int, **decoder: int) -> dict:
    """The configs of prompt encoder and mask decoder."""
    return dict(
        prompt_encoder_config=dict(hidden_size=CHANNELS, image_size=SIDE, patch_size=patch),
        mask_decoder_config=dict(
            hidden_size=CHANNELS, mlp_dim=32, num_attention_heads=2, iou_head_hidden_dim=32, **decoder
        ),
    )


VIT = dict(
    image_size=SIDE,
    patch_size=8,
    hidden_size=16,
    output_channels=CHANNELS,
    num_hidden_layers=2,
    num_attention_heads=2,
    mlp_dim=32,
    window_size=3,
    global_attn_indexes=[1],
    num_pos_feats=CHANNELS // 2,
    initializer_range=0.02,
)


def sam() -> tuple:
    config = transformers.SamConfig(vision_config=VIT, **parts(8))
    return transformers.SamModel(config), sam_processor()


def sam_hq() -> tuple:
    config = transformers.SamHQConfig(vision_config=VIT, **parts(8, vit_dim=VIT["hidden_size"]))
    return transformers.SamHQModel(config), sam_processor()


def sam_processor() -> object:
    cells = SIDE // 2
    return transformers.SamImageProcessor(
        size={"longest_edge": SIDE},
        pad_size=SQUARE,
        mask_size={"longest_edge": cells},
        mask_pad_size={"height": cells, "width": cells},
    )


def hiera() -> transformers.Sam2VisionConfig:
    backbone = transformers.Sam2HieraDetConfig(
        hidden_size=8,
        image_size=[SIDE, SIDE],
        blocks_per_stage=[1, 1, 2, 1],
        embed_dim_per_stage=[8, 16, 32, 64],
        num_attention_heads_per_stage=[1, 1, 2, 2],
        window_size_per_stage=[4, 2, 2, 2],
        global_attention_blocks=[3],
        window_positional_embedding_background_size=[4, 4],
    )
    return transformers.Sam2VisionConfig(
        backbone_config=backbone,
        backbone_channel_list=[64, 32, 16, 8],
        backbone_feature_sizes=[[16, 16], [8, 8], [4, 4]],
        fpn_hidden_size=CHANNELS,
    )


def repvit() -> transformers.EdgeTamVisionConfig:
    """EdgeTAM's image encoder, with the least channels that its blocks allow."""
    tiny = dict(
        in_chans=3, features_only=True, out_indices=[0, 1, 2, 3], embed_dim=(8, 16, 16, 16), depth=(1,) * 4
    )
    backbone = transformers.TimmWrapperConfig(architecture="repvit_m1", model_args=tiny)
    return transformers.EdgeTamVisionConfig(
        backbone_config=backbone,
        backbone_channel_list=[16, 16, 16, 8],
        backbone_feature_sizes=[[16, 16], [8, 8], [4, 4]],
        fpn_hidden_size=CHANNELS,
    )


def perception_encoder() -> transformers.Sam3VisionConfig:
    backbone = transformers.Sam3ViTConfig(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=SIDE,
        patch_size=8,
        window_size=4,
        global_attn_indexes=[1],
        pretrain_image_size=32,
    )
    sizes = [[32, 32], [16, 16], [8, 8]]
    return transformers.Sam3VisionConfig(
        backbone_config=backbone, fpn_hidden_size=CHANNELS, backbone_feature_sizes=sizes
    )


MEMORY = dict(
    image_size=SIDE,
    num_maskmem=3,
    max_object_pointers_in_encoder=4,
    memory_attention_hidden_size=CHANNELS,
    memory_attention_num_layers=1,
    memory_encoder_hidden_size=CHANNELS,
    mask_downsampler_embed_dim=CHANNELS,
    memory_fuser_num_layers=1,
    memory_fuser_embed_dim=CHANNELS,
    memory_fuser_intermediate_dim=32,
)


def sam2() -> tuple:
    config = transformers.Sam2Config(vision_config=hiera(), **parts(16))
    return transformers.Sam2Model(config), transformers.Sam2ImageProcessor(size=SQUARE)


def sam2_video() -> tuple:
    config = transformers.Sam2VideoConfig(
        vision_config=hiera(),
        **parts(16),
        **MEMORY,
        memory_attention_feed_forward_hidden_size=32,
        memory_attention_rope_feat_sizes=[4, 4],
    )
    return transformers.Sam2VideoModel(config), sam2_video_processor()


def sam2_video_processor() -> object:
    return transformers.Sam2VideoProcessor(
        transformers.Sam2ImageProcessor(size=SQUARE),
        transformers.Sam2VideoVideoProcessor(size=SQUARE),
        target_size=SIDE,
    )


def edgetam() -> tuple:
    config = transformers.EdgeTamConfig(vision_config=repvit(), **parts(16))
    return transformers.EdgeTamModel(config), transformers.Sam2ImageProcessor(size=SQUARE)


def edgetam_video() -> tuple:
    config = transformers.EdgeTamVideoConfig(
        vision_config=repvit(),
        **parts(16),
        **MEMORY,
        memory_attention_mlp_hidden_size=32,
        memory_attention_rope_feat_sizes=[4, 4],
        memory_attention_rope_k_sizes=[2, 2],
        perceiver_resampler_num_latents=4,
        perceiver_resampler_num_latents_2d=4,
        perceiver_resampler_mlp_intermediate_size=32,
        perceiver_resampler_num_layers=1,
    )
    return transformers.EdgeTamVideoModel(config), sam2_video_processor()


def sam3_tracker() -> tuple:
    config = transformers.Sam3TrackerConfig(vision_config=perception_encoder(), **parts(8))
    return transformers.Sam3TrackerModel(config), transformers.Sam3ImageProcessor(size=SQUARE)


def sam3_tracker_video() -> tuple:
    config = transformers.Sam3TrackerVideoConfig(
        vision_config=perception_encoder(),
        **parts(8),
        **MEMORY,
        memory_attention_feed_forward_hidden_size=32,
    )
    processor = transformers.Sam3TrackerVideoProcessor(
        transformers.Sam3ImageProcessor(size=SQUARE),
        transformers.Sam2VideoVideoProcessor(size=SQUARE),
        target_size=SIDE,
    )
    return transformers.Sam3TrackerVideoModel(config), processor


def sam3_video() -> tuple:
    """What the published files of SAM 3 hold: a detector and a tracker on its image encoder."""
    small = dict(hidden_size=CHANNELS, num_attention_heads=2, intermediate_size=32)
    detector = transformers.Sam3Config(
        vision_config=perception_encoder().to_dict(),
        text_config=dict(small, model_type="clip_text_model", vocab_size=9, num_hidden_layers=1),
        geometry_encoder_config=dict(small, num_layers=1, roi_size=3),
        detr_encoder_config=dict(small, num_layers=1),
        detr_decoder_config=dict(small, num_layers=2, num_queries=4),
        mask_decoder_config=dict(hidden_size=CHANNELS, num_attention_heads=2),
    )
    tracker, processor = sam3_tracker_video()
    config = transformers.Sam3VideoConfig(
        detector_config=detector.to_dict(), tracker_config=tracker.config.to_dict()
    )
    return transformers.Sam3VideoModel(config), processor, tokenizer()


IMAGES = {"sam": sam, "sam_hq": sam_hq, "sam2": sam2, "edgetam": edgetam, "sam3_tracker": sam3_tracker}
VIDEOS = {
    "sam2_video": sam2_video,
    "edgetam_video": edgetam_video,
    "sam3_tracker_video": sam3_tracker_video,
    "sam3_video": sam3_video,
}
SAMS = {**IMAGES, **VIDEOS}


def liven(network: torch.nn.Module) -> None:
    """Weights with which signals keep their size: those of an untrained network give flat masks, and parameters that
    begin as zeros or ones would hide what they are for. The IoU that SAM expects has no bounds: it is put
    into 0..1. Objects are there."""
    for name, parameter in network.named_parameters():
        if parameter.ndim == 1:
            parameter.data += 0.1 * torch.randn_like(parameter)
        else:
            parameter.data = torch.randn_like(parameter) * parameter[0].numel() ** -0.5
        if "iou_prediction_head.proj_out" in name or "pred_obj_score_head.proj_out" in name:
            parameter.data = 0.2 * parameter.data + 0.5 * (parameter.ndim == 1)
