"""A tiny model with random weights, in the structure of the published config."""

import json
import zlib
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from PIL import Image

from omgseg.inference import OMGSegInferencer
from omgseg.models.omgseg.text_encoder import TextEncoder
from omgseg.registry import MODELS
from omgseg.structures import Category, Vocabulary

BASE = Path(__file__).parents[2] / "configs" / "_base_" / "models" / "omg_convnext_l.py"
TINY_CLIP = {
    "embed_dim": 32,
    "vision_cfg": {
        "timm_model_name": "test_convnext",
        "timm_model_pretrained": False,
        "timm_pool": "",
        "timm_proj": "linear",
        "image_size": 64,
    },
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}
TEST_SCALE = (160, 96)


@pytest.fixture(scope="session")
def tiny_config(tmp_path_factory) -> Config:
    """Tiny sizes; read-outs that keep every segment, as random masks overlap; a test size of its own."""
    file = tmp_path_factory.mktemp("open_clip") / "omgseg_test_apis.json"
    file.write_text(json.dumps(TINY_CLIP))
    open_clip.add_model_config(file)
    channels = 32
    config = Config.fromfile(BASE)
    model = config.model
    for encoder in (model.image_encoder, model.text_encoder):
        encoder.update(model_name=file.stem, pretrained=None)
    model.text_encoder.type = "WordsApart"
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
    config.test_dataloader = dict(
        dataset=dict(
            type="CocoPanopticDataset",
            image_size=TEST_SCALE,
            pipeline=[dict(type="LoadFrames"), dict(type="Resize"), dict(type="PackClip")],
        )
    )
    return config


@MODELS.register_module(force=True)
class WordsApart(TextEncoder):
    """Every word gets a direction of its own; a random text tower gives all words nearly the same one."""

    def _embed(self, words: list[str]) -> torch.Tensor:
        seeds = (torch.Generator().manual_seed(zlib.crc32(word.encode())) for word in words)
        return F.normalize(
            torch.stack([torch.randn(self.embed_dim, generator=seed) for seed in seeds]), dim=-1
        )


@pytest.fixture(scope="session")
def seg(tiny_config, spread_weights) -> OMGSegInferencer:
    """A model on the CPU with a label space of four words, whose weights were changed until it finds several things
    and stuff."""
    names = ("dog", True), ("truck", True), ("sky", False), ("road", False)
    words = Vocabulary(
        Category(name, is_thing, id=number) for number, (name, is_thing) in enumerate(names, 1)
    )
    seg = OMGSegInferencer(tiny_config, vocabulary=words, device="cpu")
    spread_weights(seg.segmenter.model, 0.6)
    return seg


@pytest.fixture(scope="session")
def weights(seg, tmp_path_factory) -> Path:
    """The weights of `seg` as a file, without words."""
    path = tmp_path_factory.mktemp("weights") / "tiny.pth"
    torch.save(seg.segmenter.model.state_dict(), path)
    return path


@pytest.fixture(scope="session")
def config_file(tiny_config, tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("config") / "tiny.py"
    tiny_config.dump(file)
    return file


def scene(height: int, width: int, shift: int = 0) -> np.ndarray:
    """A bright square on a gradient."""
    y, x = np.mgrid[:height, :width]
    image = np.stack([x * 255 // width, y * 255 // height, (x + y) % 256], axis=-1).astype(np.uint8)
    image[20:60, 30 + shift : 70 + shift] = (250, 240, 20)
    return image


@pytest.fixture
def photo(tmp_path) -> Path:
    """A 90x140 image file."""
    file = tmp_path / "photo.png"
    Image.fromarray(scene(90, 140)).save(file)
    return file


@pytest.fixture
def video(tmp_path) -> Path:
    """A folder of five frames, numbered without leading zeros, and a file that is no image."""
    folder = tmp_path / "clip"
    folder.mkdir()
    for index in range(5):
        Image.fromarray(scene(90, 140, shift=5 * index)).save(folder / f"{index + 7}.png")
    (folder / "notes.txt").write_text("not a frame")
    return folder
