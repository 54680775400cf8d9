"""The variants as options of image encoders: SAM's, and the plain ViT of EfficientSAM."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from omgseg.engine.config import check_arguments
from omgseg.models.sam.image_encoder import GridAttention, SamImageEncoder, relative_positions
from omgseg.projects.dynamic_conv_vit import DynamicGridAttention
from omgseg.projects.dynamic_conv_vit.dynamic_attention import ACTIVATIONS
from omgseg.projects.efficient_sam import EfficientSamImageEncoder
from omgseg.registry import MODELS

TOY_SAM = Path(__file__).parents[3] / "configs" / "toy" / "sam.py"
CONFIGS = sorted((Path(__file__).parents[1] / "configs").glob("*.py"))
SMALL = dict(image_size=64, patch_size=8, width=16, depth=2, num_heads=2, embed_dim=8)
SAM = dict(SMALL, window_size=3, global_layers=(1,))
PLAIN = dict(SMALL, position_grid=8)
IMAGES = torch.randn(2, 3, 64, 64, generator=torch.manual_seed(0))


def random(module):
    """Filled with noise, so that positions and biases count, too."""
    generator = torch.manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(std=0.2, generator=generator)
    return module.eval().requires_grad_(False)


def test_softmax_is_sam_to_the_last_bit():
    plain = random(SamImageEncoder(**SAM))
    other = SamImageEncoder(**SAM, attention=dict(type="DynamicGridAttention"))
    other.load_state_dict(plain.state_dict())
    assert {type(block.attn) for block in plain.blocks} == {GridAttention}
    assert {type(block.attn) for block in other.blocks} == {DynamicGridAttention}
    assert torch.equal(plain(IMAGES), other.eval()(IMAGES))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_activation_is_exchanged_and_relative_positions_stay(activation):
    layer = random(DynamicGridAttention(16, 2, 4, activation)).double()
    tokens = torch.randn(2, 4, 4, 16, dtype=torch.float64, generator=torch.manual_seed(2))
    q, k, v = layer.qkv(tokens).view(2, 16, 3, 2, 8).permute(2, 0, 3, 1, 4)
    rows, columns = (relative_positions(table, 4, 4) for table in (layer.rel_pos_h, layer.rel_pos_w))
    y, x = torch.arange(16) // 4, torch.arange(16) % 4
    bias = torch.einsum("bnqd,qkd->bnqk", q, rows[y[:, None], y] + columns[x[:, None], x])
    maps = ACTIVATIONS[activation](q @ k.transpose(2, 3) * 8**-0.5 + bias, None, None)
    expected = layer.proj((maps @ v).transpose(1, 2).reshape(2, 4, 4, 16))
    assert torch.allclose(layer(tokens), expected, atol=1e-12)


def test_arguments_of_ba_sam_reach_a_variant():
    encoder = SamImageEncoder(
        **SAM,
        attention=dict(type="DynamicGridAttention", activation="relu_over_n"),
        trained_size=32,
        scale_attention=True,
        distance_penalty=0.5,
        position_coefficient=2.0,
    )
    window, whole = (block.attn for block in encoder.blocks)
    assert whole.distance_penalty == 0.5 and window.distance_penalty is None
    assert window.coefficient == whole.coefficient == 2 and whole.scale > window.scale
    with pytest.raises(TypeError, match="DynamicDepthwise.*distance_penalty"):
        SamImageEncoder(**SAM, attention=dict(type="DynamicDepthwiseTokens"), distance_penalty=0.5)


def test_a_plain_vit_with_softmax_is_itself():
    plain = random(EfficientSamImageEncoder(**PLAIN))
    other = EfficientSamImageEncoder(**PLAIN, attention=dict(type="DynamicTokenAttention")).eval()
    state = {}
    for name, tensor in plain.state_dict().items():
        if ".attn.qkv." in name:
            for part, values in zip("qkv", tensor.chunk(3), strict=True):
                values = values[..., None, None] if name.endswith("weight") else values
                state[name.replace(".attn.qkv", f".attn.attention.{part}")] = values
        elif ".attn.proj." in name:
            tensor = tensor[..., None, None] if name.endswith("weight") else tensor
            state[name.replace(".attn.proj", ".attn.attention.o")] = tensor
        else:
            state[name] = tensor
    other.load_state_dict(state)
    assert torch.allclose(plain(IMAGES), other(IMAGES), atol=1e-4)


@pytest.mark.parametrize(
    "attention",
    [
        dict(type="DynamicTokenAttention", activation="relu_then_ln", affine=True),
        dict(type="DynamicGridAttention", activation="ln_then_relu"),
        dict(type="DynamicDepthwiseTokens", kernel_size=5),
    ],
    ids=lambda options: options["type"],
)
@pytest.mark.parametrize("encoder", [SamImageEncoder, EfficientSamImageEncoder])
def test_every_variant_learns_in_every_encoder(encoder, attention):
    model = encoder(**(SAM if encoder is SamImageEncoder else PLAIN), attention=attention)
    found = model(IMAGES)
    assert found.shape == (2, 8, 8, 8)
    found.square().mean().backward()
    for block in model.blocks:
        assert all(one.grad.isfinite().all() and one.grad.any() for one in block.attn.parameters())


def test_masked_tokens_are_refused():
    model = EfficientSamImageEncoder(**PLAIN, attention=dict(type="DynamicTokenAttention"))
    with pytest.raises(ValueError, match="DynamicTokenAttention needs all 64 tokens of an image, not 16"):
        model.attend(torch.zeros(1, 16, 16))


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.stem)
def test_the_toy_sams_have_equal_parameters(file):
    config, base = Config.fromfile(file), Config.fromfile(TOY_SAM)
    check_arguments(config)
    with torch.device("meta"):
        count, plain = (
            sum(one.numel() for one in MODELS.build(some.model).parameters()) for some in (config, base)
        )
    assert abs(count - plain) < 0.003 * plain and (file.stem != "toy_sam" or count == plain)
