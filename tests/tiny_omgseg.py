"""OMG-Seg in the structure of the published config, in sizes that take milliseconds."""

import json
from pathlib import Path

import numpy as np
import open_clip
from mmengine.config import Config

BASE = Path(__file__).parents[1] / "configs" / "_base_" / "models" / "omg_convnext_l.py"
CLIP_DIM = 32


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
    model.test_cfg.update(clip_size=2, short_clip_size=2, max_per_image=10)
    model.test_cfg.panoptic.update(iou_thr=0.0, filter_low_score=False)
    return config


def scene(shift: int = 0, height: int = 90, width: int = 140) -> np.ndarray:
    """A bright square on a gradient."""
    y, x = np.mgrid[:height, :width]
    image = np.stack([x * 255 // width, y * 255 // height, (x + y) % 256], axis=-1).astype(np.uint8)
    image[20:60, 30 + shift : 70 + shift] = (250, 240, 20)
    return image
