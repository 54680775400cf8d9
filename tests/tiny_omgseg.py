"""OMG-Seg in the structure of the published config, in sizes that take milliseconds."""

import json
import zlib
from pathlib import Path

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from mmengine.config import Config
from torch import nn

from omgseg.inference import OMGSegInferencer
from omgseg.models.omgseg.text_encoder import TextEncoder
from omgseg.protocols import Prompts
from omgseg.registry import MODELS
from omgseg.structures import Category, Vocabulary

BASE = Path(__file__).parents[1] / "configs" / "_base_" / "models" / "omg_convnext_l.py"
CLIP_DIM = 32
TEST_SCALE = (160, 96)


def register_clip(folder: Path, name: str) -> None:
    """Make a tiny CLIP known to open_clip under a name."""
    config = {
        "embed_dim": CLIP_DIM,
        "vision_cfg": {
            "timm_model_name": "test_convnext",
            "timm_model_pretrained": False,
            "timm_pool": "",
            "timm_proj": "linear",
            "image_size": 64,
        },
        "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
    }
    file = folder / f"{name}.json"
    file.write_text(json.dumps(config))
    open_clip.add_model_config(file)


def tiny_config() -> Config:
    """The config with all but its encoders in tiny sizes; read-outs that keep every segment, as random masks
    overlap."""
    channels = 32
    config = Config.fromfile(BASE)
    model = config.model
    layer = model.pixel_decoder.encoder.layer_cfg
    layer.self_attn_cfg.embed_dims = layer.ffn_cfg.embed_dims = channels
    layer.ffn_cfg.feedforward_channels = 64
    model.pixel_decoder.encoder.num_layers = 1
    model.pixel_decoder.positional_encoding.num_feats = channels // 2
    model.pixel_decoder.update(feat_channels=channels, out_channels=channels)
    model.pixel_decoder.norm_cfg.num_groups = 4
    model.query_decoder.update(num_queries=12, num_layers=3, channels=channels, feedforward_channels=64)
    model.prompt_encoder.channels = model.classifier.channels = channels
    model.prompt_encoder.corrections = True
    model.test_cfg.update(clip_size=2, short_clip_size=2, max_per_image=10)
    model.test_cfg.panoptic.update(iou_thr=0.0, filter_low_score=False)
    return config


@MODELS.register_module(force=True)
class WordsApart(TextEncoder):
    """Every word gets a direction of its own; a random text tower gives all words nearly the same one."""

    def _embed(self, words: list[str]) -> torch.Tensor:
        seeds = (torch.Generator().manual_seed(zlib.crc32(word.encode())) for word in words)
        return F.normalize(
            torch.stack([torch.randn(self.embed_dim, generator=seed) for seed in seeds]), dim=-1
        )


def config_for_calls(folder: Path) -> Config:
    """The tiny config with words that are apart, and a test size of its own.

    Args:
        folder: for the description of the tiny CLIP.
    """
    name = "omgseg_test_apis"
    register_clip(folder, name)
    config = tiny_config()
    for encoder in (config.model.image_encoder, config.model.text_encoder):
        encoder.update(model_name=name, pretrained=None)
    config.model.text_encoder.type = "WordsApart"
    config.test_dataloader = dict(
        dataset=dict(
            type="CocoPanopticDataset",
            image_size=TEST_SCALE,
            pipeline=[dict(type="LoadFrames"), dict(type="Resize"), dict(type="PackClip")],
        )
    )
    return config


def tiny_inferencer(config: Config) -> OMGSegInferencer:
    """A model of :func:`config_for_calls` with a label space of four words, which finds several things and stuff."""
    names = ("dog", True), ("truck", True), ("sky", False), ("road", False)
    words = Vocabulary(
        Category(name, is_thing=is_thing, id=number) for number, (name, is_thing) in enumerate(names, 1)
    )
    seg = OMGSegInferencer(config, vocabulary=words, device="cpu")
    spread_weights(seg.segmenter.model, 0.6)
    return seg


def spread_weights(model: nn.Module, amount: float) -> None:
    """Change random weights so that a model finds several things and stuff."""
    moved = ("classifier", "query_decoder.query", "query_decoder.mask_embed")
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(2)
        for name, parameter in model.named_parameters():
            if name.endswith("gamma"):  # timm's layer scale starts at 1e-6
                parameter.uniform_(0.5, 1.5)
            elif name.startswith("classifier") and name.endswith("bias"):
                parameter.zero_()
            elif name.startswith(moved):
                parameter.add_(torch.randn_like(parameter) * amount)


def scene(shift: int = 0, height: int = 90, width: int = 140) -> np.ndarray:
    """A bright square on a gradient."""
    y, x = np.mgrid[:height, :width]
    image = np.stack([x * 255 // width, y * 255 // height, (x + y) % 256], axis=-1).astype(np.uint8)
    image[20:60, 30 + shift : 70 + shift] = (250, 240, 20)
    return image


def clicks(*of_objects: list[tuple[float, float, int]], masks=None, boxes=None, carry=None) -> Prompts:
    """Clicks (x, y, label) on each object."""
    most = max(len(own) for own in of_objects)
    rows = [[*own, *[(0, 0, -1)] * (most - len(own))] for own in of_objects]
    values = np.array(rows, np.float32).reshape(len(rows), most, 3)
    return Prompts(values[..., :2], values[..., 2].astype(np.int8), boxes, masks, carry)
