"""The published head at the sizes of the golden tensors, filled with their weights."""

from pathlib import Path

import pytest
import torch
from mmengine.config import ConfigDict

from omgseg.models.convert import convert_state_dict
from omgseg.models.decoder import OpenVocabularyClassifier, PixelDecoder, PromptEncoder, SharedQueryDecoder


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
