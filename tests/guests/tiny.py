"""Guests with tiny random networks."""

import json
from pathlib import Path

import pytest
import torch

transformers = pytest.importorskip("transformers")

WORDS = {0: "person", 1: "sky-other-merged", 2: "car", 3: "road", 4: "dog"}
"""Of a panoptic label set: three things, two kinds of stuff."""
TASKS = ("panoptic", "instance", "semantic")
BACKBONE = transformers.SwinConfig(
    image_size=32,
    embed_dim=8,
    depths=[1, 1, 1, 1],
    num_heads=[1, 1, 2, 2],
    window_size=4,
    out_features=["stage1", "stage2", "stage3", "stage4"],
)
QUERIES = 12
SIZE = {"shortest_edge": 64, "longest_edge": 96}


def mask2former() -> tuple:
    config = transformers.Mask2FormerConfig(
        backbone_config=BACKBONE,
        feature_size=32,
        mask_feature_size=32,
        hidden_dim=32,
        encoder_feedforward_dim=16,
        dim_feedforward=16,
        encoder_layers=1,
        decoder_layers=2,
        num_attention_heads=2,
        num_queries=QUERIES,
        id2label=WORDS,
    )
    return transformers.Mask2FormerForUniversalSegmentation(config), transformers.Mask2FormerImageProcessor(
        size=SIZE
    )


def maskformer() -> tuple:
    decoder = transformers.DetrConfig(
        d_model=32,
        encoder_layers=1,
        decoder_layers=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        num_queries=QUERIES,
    )
    backbone = transformers.MaskFormerSwinConfig(**BACKBONE.to_diff_dict())
    config = transformers.MaskFormerConfig(
        backbone_config=backbone,
        decoder_config=decoder,
        fpn_feature_size=32,
        mask_feature_size=32,
        id2label=WORDS,
    )
    return transformers.MaskFormerForInstanceSegmentation(config), transformers.MaskFormerImageProcessor(
        size=SIZE
    )


def oneformer() -> tuple:
    config = transformers.OneFormerConfig(
        backbone_config=BACKBONE,
        conv_dim=32,
        mask_dim=32,
        hidden_dim=32,
        encoder_feedforward_dim=16,
        dim_feedforward=16,
        encoder_layers=1,
        decoder_layers=3,
        query_dec_layers=1,
        num_attention_heads=2,
        num_queries=QUERIES,
        text_encoder_width=16,
        text_encoder_context_length=16,
        text_encoder_num_layers=1,
        text_encoder_vocab_size=len(tokens()),
        text_encoder_proj_layers=1,
        text_encoder_n_ctx=4,
        task_seq_len=16,
        max_seq_len=16,
        id2label=WORDS,
    )
    processor = transformers.OneFormerImageProcessor(size=SIZE)
    return transformers.OneFormerForUniversalSegmentation(config), processor, tokenizer()


def eomt() -> tuple:
    config = transformers.EomtConfig(**VIT, num_register_tokens=0)
    return transformers.EomtForUniversalSegmentation(config), eomt_processor()


def eomt_dinov3() -> tuple:
    config = transformers.EomtDinov3Config(**VIT, num_register_tokens=2)
    return transformers.EomtDinov3ForUniversalSegmentation(config), eomt_processor()


VIT = dict(
    hidden_size=16,
    num_hidden_layers=3,
    num_attention_heads=2,
    intermediate_size=16,
    image_size=64,
    patch_size=8,
    num_blocks=1,
    num_upscale_blocks=1,
    num_queries=QUERIES,
    id2label=WORDS,
)


def eomt_processor(**options) -> object:
    return transformers.EomtImageProcessor(
        size={"shortest_edge": 64, "longest_edge": 64}, do_pad=True, **options
    )


def videomt() -> tuple:
    config = transformers.VideomtConfig(**VIT, num_register_tokens=0)
    processor = transformers.VideomtVideoProcessor(size={"height": 64, "width": 64})
    network = transformers.VideomtForUniversalSegmentation(config)
    network.class_predictor.bias.data[-1] += 30  # fewer queries are sure, and masks differ: segments survive
    network.mask_head.fc3.weight.data *= 4
    network.mask_head.fc3.bias.data *= 0
    return network, processor


def segformer() -> tuple:
    config = transformers.SegformerConfig(
        depths=[1, 1, 1, 1],
        hidden_sizes=[8, 8, 16, 16],
        num_attention_heads=[1, 1, 2, 2],
        decoder_hidden_size=16,
        id2label={number: f"{WORDS.get(number, 'class')} {number}" for number in range(20)},
    )
    processor = transformers.SegformerImageProcessor(size={"height": 64, "width": 64})
    return transformers.SegformerForSemanticSegmentation(config), processor


def clipseg() -> tuple:
    small = dict(hidden_size=16, intermediate_size=16, num_hidden_layers=3, num_attention_heads=2)
    words = len(tokens())
    config = transformers.CLIPSegConfig(
        text_config=dict(
            small,
            vocab_size=words,
            max_position_embeddings=16,
            eos_token_id=words - 1,
            bos_token_id=words - 2,
        ),
        vision_config=dict(small, image_size=64, patch_size=16),
        projection_dim=16,
        extract_layers=[0, 1, 2],
        reduce_dim=8,
        decoder_num_attention_heads=2,
        decoder_intermediate_size=16,
    )
    processor = transformers.ViTImageProcessor(size={"height": 64, "width": 64})
    return transformers.CLIPSegForImageSegmentation(config), processor, tokenizer()


def sam3() -> tuple:
    return loud(transformers.Sam3Model(sam3_config())), sam3_processor()


def sam3_lite_text() -> tuple:
    """The same with another text encoder."""
    parts = sam3_config().to_dict()
    parts["text_config"] = SAM3_TEXT | {"max_position_embeddings": 16}
    config = transformers.Sam3LiteTextConfig(**{k: v for k, v in parts.items() if k.endswith("_config")})
    return loud(transformers.Sam3LiteTextModel(config)), sam3_processor()


def sam3_detector() -> tuple:
    """What the published files hold: the detector of images and a tracker."""
    detector, side = sam3_config().to_dict(), SAM3_SIDE
    tracker = transformers.Sam3TrackerVideoConfig(
        vision_config=detector["vision_config"],
        prompt_encoder_config=dict(hidden_size=32, image_size=side, patch_size=14),
        mask_decoder_config=dict(
            hidden_size=32, mlp_dim=16, num_hidden_layers=1, num_attention_heads=2, iou_head_hidden_dim=16
        ),
        image_size=side,
        memory_attention_hidden_size=32,
        memory_attention_num_layers=1,
        memory_attention_feed_forward_hidden_size=32,
        memory_encoder_hidden_size=32,
        memory_encoder_output_channels=8,
        mask_downsampler_embed_dim=32,
        memory_fuser_embed_dim=32,
        memory_fuser_intermediate_dim=32,
    )
    config = transformers.Sam3VideoConfig(detector_config=detector, tracker_config=tracker.to_dict())
    network = transformers.Sam3VideoModel(config)
    loud(network.detector_model)
    videos = transformers.Sam2VideoVideoProcessor(size={"height": side, "width": side})
    processor = transformers.Sam3VideoProcessor(sam3_processor().image_processor, videos, tokenizer())
    return network, processor


def sam3_film() -> tuple:
    """The same for videos: a tracker of a size that runs, and limits that a short film reaches."""
    detector, side, width = sam3_config(128).to_dict(), SAM3_SIDE, 128
    tracker = transformers.Sam3TrackerVideoConfig(
        vision_config=detector["vision_config"],
        prompt_encoder_config=dict(hidden_size=width, image_size=side, patch_size=14),
        mask_decoder_config=dict(
            hidden_size=width, mlp_dim=16, num_hidden_layers=1, num_attention_heads=2, iou_head_hidden_dim=16
        ),
        image_size=side,
        num_maskmem=4,
        max_object_pointers_in_encoder=6,
        max_cond_frame_num=2,
        memory_attention_hidden_size=width,
        memory_attention_num_layers=1,
        memory_attention_feed_forward_hidden_size=width,
        memory_encoder_hidden_size=width,
        memory_encoder_output_channels=64,
        mask_downsampler_embed_dim=width,
        memory_fuser_embed_dim=width,
        memory_fuser_intermediate_dim=width,
    )
    config = transformers.Sam3VideoConfig(
        detector_config=detector,
        tracker_config=tracker.to_dict(),
        low_res_mask_size=side,
        score_threshold_detection=0.3,
        new_det_thresh=0.4,
        det_nms_thresh=0.6,
        trk_assoc_iou_thresh=0.2,
        hotstart_delay=4,
        hotstart_unmatch_thresh=3,
        hotstart_dup_thresh=3,
        recondition_every_nth_frame=3,
        high_conf_thresh=0.3,
        high_iou_thresh=0.1,
    )
    network = transformers.Sam3VideoModel(config)
    loud(network.detector_model)
    loud(network.tracker_model, 4)
    network.tracker_model.mask_decoder.pred_obj_score_head.proj_out.bias.data += 20  # objects stay
    half = [0.5, 0.5, 0.5]  # as of images
    videos = transformers.Sam2VideoVideoProcessor(
        size={"height": side, "width": side}, image_mean=half, image_std=half
    )
    processor = transformers.Sam3VideoProcessor(sam3_processor().image_processor, videos, tokenizer())
    return network, processor


def sam3_config(width: int = 32) -> object:
    small = dict(hidden_size=width, num_attention_heads=2, intermediate_size=32)
    return transformers.Sam3Config(
        vision_config=dict(
            backbone_config=dict(
                model_type="sam3_vit_model",
                hidden_size=16,
                intermediate_size=16,
                num_hidden_layers=2,
                num_attention_heads=2,
                image_size=SAM3_SIDE,
                pretrain_image_size=SAM3_SIDE,
                window_size=2,
                global_attn_indexes=[1],
            ),
            fpn_hidden_size=width,
            backbone_feature_sizes=[[16, 16], [8, 8], [4, 4]],
        ),
        text_config=SAM3_TEXT | {"model_type": "clip_text_model"},
        geometry_encoder_config=dict(small, num_layers=1, roi_size=3),
        detr_encoder_config=dict(small, num_layers=1),
        detr_decoder_config=dict(small, num_layers=2, num_queries=QUERIES),
        mask_decoder_config=dict(hidden_size=width, num_attention_heads=2),
    )


def sam3_processor() -> object:
    images = transformers.Sam3ImageProcessor(size={"height": SAM3_SIDE, "width": SAM3_SIDE})
    return transformers.Sam3Processor(images, tokenizer())


def loud(network: torch.nn.Module, factor: float = 12) -> torch.nn.Module:
    """A random SAM 3 gives almost the same for all phrases, queries and pixels; make them differ."""
    for parameter in network.parameters():
        if parameter.ndim > 1:
            parameter.data *= factor
    return network


def seggpt() -> tuple:
    config = transformers.SegGptConfig(
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        image_size=[64, 32],
        patch_size=8,
        pretrain_image_size=32,
        decoder_hidden_size=8,
        merge_index=0,
        intermediate_hidden_state_indices=[0, 1, 2],
    )
    network = transformers.SegGptForImageSegmentation(config)
    for parameter in network.decoder.parameters():
        parameter.data *= 8  # paints in many colors
    return network, transformers.SegGptImageProcessor(size={"height": 32, "width": 32})


def tokens() -> dict[str, int]:
    """A CLIP vocabulary of single letters."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    return {word: number for number, word in enumerate(words)}


def tokenizer() -> object:
    return transformers.CLIPTokenizer(vocab=tokens(), merges=[], model_max_length=16)


SAM3_SIDE = 56
SAM3_TEXT = dict(
    vocab_size=len(tokens()),
    hidden_size=16,
    intermediate_size=16,
    projection_dim=16,
    num_hidden_layers=2,
    num_attention_heads=2,
    max_position_embeddings=32,
    bos_token_id=len(tokens()) - 2,
    eos_token_id=len(tokens()) - 1,
)
MASK_QUERIES = {
    "mask2former": mask2former,
    "maskformer": maskformer,
    "oneformer": oneformer,
    "eomt": eomt,
    "eomt_dinov3": eomt_dinov3,
}
CONCEPTS = {"sam3": sam3, "sam3_lite_text": sam3_lite_text, "sam3_detector": sam3_detector}
GUESTS = {
    **MASK_QUERIES,
    **CONCEPTS,
    "videomt": videomt,
    "segformer": segformer,
    "clipseg": clipseg,
    "seggpt": seggpt,
}
FILMS = {"sam3_film": sam3_film}
"""Whose trackers run."""


def decide(network: torch.nn.Module) -> None:
    """Queries of random networks name no class with confidence, and their masks are alike; make both differ."""
    for name, parameter in network.named_parameters():
        if parameter.ndim == 2 and len(parameter) == len(WORDS) + 1:
            parameter.data *= 60
        elif "mask_embed" in name or "mask_head" in name or "queries" in name or name == "query.weight":
            parameter.data *= 4


def copied(folder: Path, target: Path, without: tuple[str, ...] = (), **config: object) -> Path:
    """A copy of a folder without some files, and with other values in its config.json."""
    target.mkdir()
    for file in folder.iterdir():
        if file.name not in without:
            (target / file.name).write_bytes(file.read_bytes())
    if config:
        content = json.loads((folder / "config.json").read_text()) | config
        (target / "config.json").write_text(json.dumps(content))
    return target
