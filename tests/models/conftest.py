"""A tiny model with random weights; the published head at the sizes of the golden tensors, with their weights."""

from pathlib import Path

import open_clip
import pytest
import torch
from mmengine.config import Config, ConfigDict

from omgseg.models.checkpoints.published import convert_state_dict
from omgseg.models.mask_queries.output import DecoderOutput
from omgseg.models.omgseg.classifier import OpenVocabularyClassifier
from omgseg.models.omgseg.pixel_decoder import PixelDecoder
from omgseg.models.omgseg.prompt_encoder import PromptEncoder
from omgseg.models.omgseg.query_decoder import SharedQueryDecoder
from omgseg.registry import MODELS
from omgseg.structures import Category, Vocabulary

CONFIG = Path(__file__).parents[2] / "configs" / "_base_" / "models" / "omg_convnext_l.py"
TINY_CLIP = """{"embed_dim": 32,
 "vision_cfg": {"timm_model_name": "test_convnext", "timm_model_pretrained": false, "timm_pool": "",
                "timm_proj": "linear", "image_size": 64},
 "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}}"""


@pytest.fixture(scope="session")
def words() -> Vocabulary:
    return Vocabulary([Category("cat"), Category("dog", synonyms=("puppy",)), Category("sky", False)])


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory, words):
    path = tmp_path_factory.mktemp("clip") / "omgseg_test_segmentor.json"
    path.write_text(TINY_CLIP)
    open_clip.add_model_config(path)
    config = Config.fromfile(CONFIG).model
    for encoder in (config.image_encoder, config.text_encoder):
        encoder.update(model_name=path.stem, pretrained=None)
    channels = 32
    attention = config.pixel_decoder.encoder.layer_cfg
    config.pixel_decoder.update(
        feat_channels=channels, out_channels=channels, norm_cfg=dict(type="GN", num_groups=4)
    )
    config.pixel_decoder.encoder.num_layers = 1
    attention.self_attn_cfg.embed_dims = attention.ffn_cfg.embed_dims = channels
    config.pixel_decoder.positional_encoding.num_feats = channels // 2
    config.query_decoder.update(num_queries=8, num_layers=3, channels=channels, feedforward_channels=64)
    config.prompt_encoder.channels = config.classifier.channels = channels
    config.prompt_encoder.corrections = True
    config.criterion.num_points = 64
    config.test_cfg.update(clip_size=2, short_video=0, num_candidates=6)
    torch.manual_seed(0)
    model = MODELS.build(config)
    model.set_vocabulary(words)
    return model


@pytest.fixture(scope="session")
def golden_model(golden_dir: Path) -> dict:
    return torch.load(golden_dir / "model" / "omgseg_small.pt", weights_only=True)


def build_head(config: dict) -> torch.nn.ModuleDict:
    channels = config["feat_channels"]
    attention = dict(
        embed_dims=channels,
        num_heads=config["num_heads"],
        num_levels=3,
        num_points=config["num_points"],
        dropout=0.0,
    )
    feedforward = dict(
        embed_dims=channels, feedforward_channels=config["encoder_ffn"], num_fcs=2, ffn_drop=0.0
    )
    pixel_decoder = PixelDecoder(
        in_channels=config["in_channels"],
        strides=[4, 8, 16, 32],
        feat_channels=channels,
        out_channels=channels,
        num_outs=3,
        norm_cfg=dict(type="GN", num_groups=config["group_norm_groups"]),
        encoder=ConfigDict(
            num_layers=config["encoder_layers"], layer_cfg=dict(self_attn_cfg=attention, ffn_cfg=feedforward)
        ),
        positional_encoding=dict(num_feats=channels // 2, normalize=True),
    )
    return torch.nn.ModuleDict(
        {
            "pixel_decoder": pixel_decoder,
            "query_decoder": SharedQueryDecoder(
                config["num_queries"],
                config["decoder_layers"],
                channels,
                config["num_heads"],
                config["decoder_ffn"],
            ),
            "classifier": OpenVocabularyClassifier(channels, config["embed_dim"], config["logit_scale"]),
            "prompt_encoder": PromptEncoder(channels),
        }
    )


@pytest.fixture(scope="session")
def golden_head(golden_model: dict) -> torch.nn.ModuleDict:
    head = build_head(golden_model["config"])
    published = {f"panoptic_head.{key}": value.float() for key, value in golden_model["state_dict"].items()}
    head.load_state_dict(convert_state_dict(published))
    return head.eval()


QUERIES, CHANNELS = 4, 6


@pytest.fixture
def clip_output():
    """Query ``order[i]`` shows entity i: an own direction in feature space, an own column of the picture."""

    def make(order: list[int], frames: int, objectness: list[float]) -> DecoderOutput:
        queries, embeddings = torch.zeros(2, 1, QUERIES, CHANNELS)
        logits, classes = torch.zeros(1, QUERIES), torch.zeros(1, QUERIES, 3)
        for entity, query in enumerate(order):
            queries[0, query, entity] = embeddings[0, query, entity] = 1
            logits[0, query] = objectness[entity]
            classes[0, query, entity % 2] = 5
        features = torch.full((1, CHANNELS, frames, 4, 8), -4.0)
        for entity in range(QUERIES):
            features[0, entity, :, :, 2 * entity : 2 * entity + 2] = 4.0
        return DecoderOutput(queries, queries, embeddings, features, logits, classes)

    return make
