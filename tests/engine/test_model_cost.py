"""What a model costs, without running it."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import conv2d
from torch.utils.flop_counter import FlopCounterMode
from torchvision.ops import deform_conv2d

from omgseg.engine import model_cost as costs
from omgseg.engine.model_cost import model_cost
from omgseg.registry import MODELS

TOY = Path(__file__).parents[2] / "configs" / "toy" / "joint.py"


@pytest.fixture(scope="module")
def model_config():
    return Config.fromfile(TOY).model


def test_equals_a_real_run(model_config):
    """Operations of the same parts on real tensors, at a size that is not the tile's."""
    parts = {part.name: part for part in model_cost(model_config, (128, 192), num_classes=5)}
    for encoder in ("image_encoder", "text_encoder"):
        model_config[encoder].pretrained = None
    model = MODELS.build(model_config).eval()
    model.requires_grad_(False)
    with FlopCounterMode(display=False) as encoder:
        features = model.image_encoder(torch.zeros(1, 3, 128, 192))
    with FlopCounterMode(display=False) as pixel_decoder:
        mask_features, levels = model.pixel_decoder(features)
    # torch does not count its fused attention on CPUs
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as query_decoder:
        model.query_decoder(mask_features, levels, every_layer=False)
    assert parts["image_encoder"].flops == encoder.get_total_flops() > 0
    assert parts["pixel_decoder"].flops == pixel_decoder.get_total_flops() > 0
    assert parts["query_decoder"].flops == query_decoder.get_total_flops() > 0
    counts = {name: sum(p.numel() for p in part.parameters()) for name, part in model.named_children()}
    assert {name: part.parameters for name, part in parts.items()} == {n: c for n, c in counts.items() if c}


def test_frozen_parts_do_not_train(model_config):
    parts = {part.name: part for part in model_cost(model_config, (64, 64), num_classes=5)}
    assert parts["image_encoder"].trainable == 0
    assert parts["query_decoder"].trainable == parts["query_decoder"].parameters


def test_sizes_are_padded(model_config):
    exact, odd = (model_cost(model_config, size, 5) for size in ((128, 192), (97, 161)))
    assert [part.flops for part in odd] == [part.flops for part in exact]


def test_peak_of_the_tensors_that_are_alive_at_once():
    def run():
        a = torch.zeros(1000)
        b = a + 1  # two alive
        del a
        c = b.view(10, 100).t() * 2  # a view is no new memory
        del b
        return c + c.sum()

    (_, peak), _ = costs._follow(run)
    assert peak == 2 * 4000 + 4


def test_a_deformable_convolution_counts_as_a_convolution():
    x, weight, offset = torch.rand(2, 4, 6, 8), torch.rand(5, 4, 3, 3), torch.zeros(2, 18, 6, 8)
    deformed, plain = (
        costs._follow(run)[0][0]
        for run in (lambda: deform_conv2d(x, offset, weight, padding=1), lambda: conv2d(x, weight, padding=1))
    )
    assert deformed == plain > 0


def test_a_sam_is_asked_with_one_point():
    """Operations of the same parts on real tensors."""
    config = Config.fromfile(TOY.with_name("sam.py")).model
    parts = {part.name: part for part in model_cost(config, (48, 64), num_classes=1)}
    model = MODELS.build(config).eval().requires_grad_(False)
    point, label = torch.zeros(1, 1, 2), torch.ones(1, 1, dtype=torch.long)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as encoder:
        embedding = model.image_encoder(torch.zeros(1, 3, model.image_size, model.image_size))
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as decoder:
        model.decode(embedding, point, label)
    assert parts["image_encoder"].flops == encoder.get_total_flops() > 0
    assert parts["prompt_encoder"].flops + parts["mask_decoder"].flops == decoder.get_total_flops() > 0
    assert sum(part.parameters for part in parts.values()) == sum(p.numel() for p in model.parameters())
