"""Attention as dynamic convolutions: the identity, the variants, and the toy proof."""

import json

import pytest
import torch
from torch import nn

from omgseg.projects.dynamic_conv_vit import toy_proof
from omgseg.projects.dynamic_conv_vit.dynamic_attention import (
    ACTIVATIONS,
    DynamicAttention,
    DynamicDepthwiseConv,
    dynamic_convolution,
)
from omgseg.projects.dynamic_conv_vit.toy_proof import MIXERS, SAMS, Classifier, count, main, table


@pytest.fixture(scope="module")
def golden(golden_dir):
    return torch.load(golden_dir / "dynamic_conv_vit" / "golden.pt", weights_only=True)


def attention(golden, name, heads=None):
    """The module of a golden entry, float64."""
    channels, positions = golden["x"].shape[1], golden["ln_weight"].numel()
    affine = positions if name.endswith("_affine") else 0
    module = DynamicAttention(
        channels, heads or golden["heads"], name.removesuffix("_affine"), affine
    ).double()
    with torch.no_grad():
        for part in "qkvo":
            getattr(module, part).weight.copy_(golden["weights"][part][..., None, None])
            getattr(module, part).bias.copy_(golden["biases"][part])
        if affine:
            module.ln_weight.copy_(golden["ln_weight"])
            module.ln_bias.copy_(golden["ln_bias"])
    return module.requires_grad_(False)


def same(ours, derived):
    assert ours.shape == derived.shape and (ours - derived).abs().max() < 1e-9


def test_every_variant_gives_the_derived_values(golden):
    x = golden["x"]
    for name, derived in golden["grouped"].items():
        module = attention(golden, name)
        assert module.scale == golden["scale"]
        q, k, v = module.q(x), module.k(x), module.v(x)
        same(q, golden["q"])
        same(module.attend(q, k, v), derived["attention_before_projection"])
        same(module(x), derived["output"])
        heads = (some.unflatten(1, (module.heads, -1)).flatten(3).transpose(2, 3) for some in (q, k))
        maps = module.maps(*heads)[:, 0].transpose(1, 2)
        same(
            maps[..., : derived["map_first_head_first_pixels"].shape[2]],
            derived["map_first_head_first_pixels"],
        )
    assert {name.removesuffix("_affine") for name in golden["grouped"]} == set(ACTIVATIONS)


def test_readings_of_depth_wise(golden):
    x = golden["x"]
    for name, derived in golden["candidate_heads_equal_channels"].items():
        module = attention(golden, name, heads=x.shape[1])
        same(module.attend(module.q(x), module.k(x), module.v(x)), derived["attention_before_projection"])
        same(module(x), derived["output"])
    derived = golden["candidate_dynamic_depthwise_conv"]
    module = DynamicDepthwiseConv(x.shape[1], derived["kernel"].shape[-1]).double()
    with torch.no_grad():
        module.reduce.weight.copy_(derived["w1"])
        module.expand.weight.copy_(derived["w2"])
        same(module(x), derived["output"])


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_attention_is_two_dynamic_convolutions(activation):
    module = DynamicAttention(12, 3, activation).double()
    feature = torch.randn(2, 12, 4, 5, dtype=torch.float64, generator=torch.manual_seed(0))
    q, k, v = (part(feature).unflatten(1, (3, -1)).flatten(3) for part in (module.q, module.k, module.v))
    maps = dynamic_convolution(q, k.transpose(2, 3)) * module.scale
    maps = ACTIVATIONS[activation](maps.transpose(2, 3), None, None).transpose(2, 3)
    found = module.o(dynamic_convolution(maps, v).flatten(1, 2).unflatten(2, (4, 5)))
    assert torch.allclose(found, module(feature), atol=1e-12)


def test_softmax_is_the_attention_of_torch():
    module, known = DynamicAttention(12, 3), nn.MultiheadAttention(12, 3, batch_first=True)
    with torch.no_grad():
        known.in_proj_weight.copy_(
            torch.cat([part.weight[..., 0, 0] for part in (module.q, module.k, module.v)])
        )
        known.in_proj_bias.copy_(torch.cat([part.bias for part in (module.q, module.k, module.v)]))
        known.out_proj.weight.copy_(module.o.weight[..., 0, 0])
        known.out_proj.bias.copy_(module.o.bias)
    feature = torch.randn(2, 12, 4, 5, generator=torch.manual_seed(0))
    tokens = feature.flatten(2).transpose(1, 2)
    assert torch.allclose(
        module(feature).flatten(2).transpose(1, 2), known(tokens, tokens, tokens)[0], atol=1e-5
    )


def test_wrong_options_are_named():
    with pytest.raises(ValueError, match="unknown activation 'tanh'; choose from softmax, relu"):
        DynamicAttention(12, 3, "tanh")
    with pytest.raises(ValueError, match="'softmax' has no layer normalisation that could be affine"):
        DynamicAttention(12, 3, affine_positions=20)
    with pytest.raises(ValueError, match="5 heads do not divide 12 channels"):
        DynamicAttention(12, 5)


def test_all_variants_have_equal_parameters():
    sizes = [count(Classifier(mixer)) for mixer in MIXERS.values()]
    assert max(sizes) / min(sizes) < 1.005


def test_the_toy_proof_runs_from_end_to_end(tmp_path, monkeypatch):
    monkeypatch.setenv("OMGSEG_TOY", str(tmp_path))
    monkeypatch.setattr(toy_proof, "SAM_EVALUATIONS", 2)
    monkeypatch.setattr(toy_proof, "SAM_LEVEL", 0.0)
    for name in list(SAMS)[:-1]:  # go the same way
        monkeypatch.delitem(SAMS, name)
    found = main(["--quick", "--seeds", "0", "--work-dir", str(tmp_path)])
    assert list(found["classification"]) == list(MIXERS) and list(found["sam"]) == list(SAMS)
    assert all(0 <= one["accuracy"] <= 100 for (one,) in found["classification"].values())
    assert all(one["steps"] == 2 and one["ms"] > 0 for (one,) in found["sam"].values())
    assert json.loads((tmp_path / "metrics.json").read_text())["runs"] == found
    text = (tmp_path / "table.md").read_text()
    assert all(f"| {name} " in text for name in (*MIXERS, *SAMS)) and "steps to 0 % (box)" in text


def test_a_table_says_what_was_never_reached():
    runs = {"a": [dict(accuracy=50.0, steps=None, ms=2.0), dict(accuracy=60.0, steps=20, ms=4.0)]}
    text = table(runs, ["accuracy"], "80 %", {"a": 7})
    assert text.splitlines()[-1].split() == "| a | 7 | 55.0 ± 5.0 | never | 3 |".split()
