"""What of BA-SAM's released code is in the SAM core gives its values."""

import math

import numpy as np
import pytest
import torch
from mmengine.config import Config
from timm.models.tiny_vit import Attention

from omgseg.models.sam.image_encoder import (
    Block,
    GridAttention,
    SamImageEncoder,
    attention_growth,
    relative_positions,
)
from omgseg.projects.ba_sam.tiny_vit import TRAINED_TOKENS, scale_attention
from omgseg.registry import MODELS

pytestmark = pytest.mark.golden
TOLERANCE = 1e-5
BASE = 4096
"""Tokens of SAM at 1024 pixels, which the released code counts with whatever the patch."""


@pytest.fixture(scope="module")
def golden(golden_dir):
    return torch.load(golden_dir / "ba_sam" / "golden.pt", weights_only=True)


@pytest.fixture(scope="module")
def load(golden_pictures):
    """``load(module, keys, prefix, coefficient)``: strictly, weights under the published names."""

    def load(module, keys, prefix, coefficient=None):
        tensors = {prefix + name: torch.zeros(shape) for name, shape in keys}
        golden_pictures.filled.fill_(tensors)
        tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
        if coefficient is not None:
            tensors["coefficient"].fill_(coefficient)
        module.load_state_dict(tensors)
        return module.eval()

    return load


def made(entry):
    values = np.random.RandomState(entry["seed"]).standard_normal(entry["shape"]) * entry["scale"]
    tensor = torch.from_numpy(values.astype(np.float32))
    assert torch.allclose(tensor.flatten()[: len(entry["first"])], entry["first"])
    return tensor


def same(ours, published):
    assert ours.shape == published.shape
    assert float((ours - published).abs().max()) < TOLERANCE * max(float(published.abs().max()), 1.0)


def test_the_scaling_factor(golden):
    """The released code rounds sizes down to multiples of 1024, and fails below; we take the sizes as they are."""
    table = golden["scale_table"]
    usual = table["head_dim"] ** -0.5
    for row in table["rows"]:
        grid = row["image_size"] / 16
        ours = usual * attention_growth(grid**2, BASE)
        assert ours == pytest.approx(row["derived_exact_log_ratio"])
        assert row["windowed"] == usual
        if row["image_size"] == 1024 * row["length_scale"]:
            assert ours == pytest.approx(row["global"])
            tiny = attention_growth(TRAINED_TOKENS * row["length_scale"] ** 2, TRAINED_TOKENS)
            assert usual * tiny == pytest.approx(row["tiny_vit"])


@torch.no_grad()
def test_attention_with_a_coefficient(golden, load):
    group = golden["attention"]
    for case in group["cases"]:
        growth = attention_growth(group["length_scale"] ** 2 * BASE, BASE) if case["global_block"] else 1.0
        layer = GridAttention(
            group["dim"],
            group["heads"],
            group["train_size"][0],
            growth=growth,
            position_coefficient=0.1,
        )
        load(layer, group["keys"], group["prefix"], case["coefficient"])
        assert layer.scale == pytest.approx(case["scale"])
        height = case["tokens"][0]
        table = relative_positions(layer.rel_pos_h, height, height) * layer.coefficient
        same(table[::3, ::3], case["rel_pos_h"])
        same(layer(made(case["input"])), case["output"])


@torch.no_grad()
def test_a_windowed_block(golden, load):
    entry = golden["windowed_block"]
    hidden = dict(entry["keys"])["mlp.lin1.bias"][0]
    block = Block(
        entry["dim"], entry["heads"], hidden, entry["window"], entry["window"], position_coefficient=0.1
    )
    load(block, entry["keys"], entry["prefix"])
    same(block(made(entry["input"]))[:, ::2, ::2], entry["output"])


@torch.no_grad()
def test_the_image_encoder(golden, load):
    entry = golden["encoder"]
    encoder = SamImageEncoder(
        image_size=entry["image_size"],
        patch_size=entry["patch_size"],
        width=entry["embed_dim"],
        depth=entry["depth"],
        num_heads=entry["heads"],
        window_size=entry["window"],
        global_layers=entry["global_attention"],
        embed_dim=entry["out_channels"],
        position_coefficient=0.1,
        absolute_positions=entry["absolute_positions"],
    )
    load(encoder, entry["keys"], entry["prefix"])
    for block, scale in zip(encoder.blocks, entry["scales"], strict=True):
        block.attn.scale = scale  # it counts tokens of 16 pixels, whatever the patch
    same(encoder(made(entry["input"])), entry["output"])


@torch.no_grad()
def test_the_attention_of_tiny_vit(golden, load):
    """Its learned factor acts in training only, which we do not take over."""
    entry = golden["tiny_vit_attention"]
    layer = Attention(
        entry["dim"], entry["key_dim"], entry["heads"], entry["attn_ratio"], tuple(entry["resolution"])
    )
    load(layer, [key for key in entry["keys"] if key[0] != "coefficient"], golden["attention"]["prefix"])
    scale_attention(layer, attention_growth(TRAINED_TOKENS * entry["length_scale"] ** 2, TRAINED_TOKENS))
    assert layer.scale == pytest.approx(entry["scale"])
    layer.attention_bias_idxs.copy_(entry["bias_index"])
    x = made(entry["input"])
    same(layer(x), entry["evaluation_output"])
    layer.attention_biases.mul_(entry["coefficient"])
    layer.train()
    same(layer(x), entry["training_output"])


def test_the_released_network(golden):
    expected = golden["model"]["vit_b"]
    with torch.device("meta"):
        model = MODELS.build(Config.fromfile("projects/ba_sam/configs/released_vit_b.py").model)
    names = model.state_dict()
    assert len(names) == expected["key_count"]
    assert sum(x.numel() for x in model.parameters()) == expected["parameters"]
    assert sum(x.numel() for x in model.image_encoder.parameters()) == expected["image_encoder_parameters"]
    assert {name for name in names if name.endswith("coefficient")} == set(expected["coefficient_keys"])
    assert ("image_encoder.pos_embed" in names) == expected["has_pos_embed"]
    assert math.isclose(model.image_encoder.blocks[2].attn.scale, 0.125)
