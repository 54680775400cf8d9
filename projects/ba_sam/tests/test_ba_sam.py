"""SAM on larger images than in its training."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.structures import InstanceData

import omgseg
from omgseg.engine import CheckpointError, check_arguments
from omgseg.models.checkpoints.loading import load_weights
from omgseg.models.sam.image_encoder import GridAttention, SamImageEncoder, attention_growth
from omgseg.protocols import Prompts
from omgseg.registry import MODELS

CONFIGS = Path(__file__).parents[1] / "configs"
SIDE = 64
SMALL = dict(patch_size=8, width=32, depth=2, num_heads=2, window_size=3, global_layers=[1], embed_dim=32)


@pytest.fixture
def toy():
    """``toy(size, **options)``: the config of a small SAM for images of `size`, trained at :data:`SIDE`."""

    def toy(size, **options):
        encoder = dict(type="SamImageEncoder", **SMALL, image_size=size, trained_size=SIDE, **options)
        prompts = dict(type="SamPromptEncoder", embed_dim=32, image_size=size, stride=8)
        decoder = dict(type="SamMaskDecoder", embed_dim=32, num_heads=2, mlp_dim=32, iou_hidden_dim=32)
        return dict(type="SAM", image_encoder=encoder, prompt_encoder=prompts, mask_decoder=decoder)

    return toy


def plain_attention(layer, tokens):
    """Attention with all logits written out, relative positions left out."""
    batch, height, width, channels = tokens.shape
    q, k, v = layer.qkv(tokens).view(batch, height * width, 3, layer.num_heads, -1).permute(2, 0, 3, 1, 4)
    row, column = np.divmod(np.arange(height * width), width)
    cells = abs(row[:, None] - row) + abs(column[:, None] - column)
    usual = (channels // layer.num_heads) ** -0.5
    growth = attention_growth(height * width, 16)
    logits = q @ k.transpose(-1, -2) * usual * growth - 0.3 * torch.from_numpy(cells)
    return layer.proj((logits.softmax(-1) @ v).transpose(1, 2).reshape(tokens.shape))


@torch.no_grad()
def test_factor_and_penalty_are_what_they_say():
    torch.manual_seed(0)
    tokens = torch.randn(1, 5, 9, 32) * 3
    layer = GridAttention(32, 2, 4, growth=attention_growth(45, 16), distance_penalty=0.3)
    assert torch.allclose(layer(tokens), plain_attention(layer, tokens), atol=1e-5)
    plain = GridAttention(32, 2, 4)
    plain.load_state_dict({k: v for k, v in layer.state_dict().items() if k != "distance_penalty"})
    assert not torch.allclose(layer(tokens), plain(tokens), atol=1e-2)


@torch.no_grad()
def test_a_plain_sams_weights_take_larger_images(toy):
    """Without the options nothing changes at the size of the training; larger images give larger embeddings."""
    torch.manual_seed(0)
    trained = MODELS.build(toy(SIDE)).eval()
    images = torch.randn(1, 3, SIDE, SIDE)
    for options in (dict(), dict(scale_attention=True), dict(scale_attention=True, distance_penalty=0.0)):
        same, larger = (
            MODELS.build(toy(SIDE, **options)).eval(),
            MODELS.build(toy(2 * SIDE, **options)).eval(),
        )
        for model in (same, larger):
            load_weights(model, trained.state_dict(), "a plain SAM")  # strict
        assert torch.allclose(same.image_encoder(images), trained.image_encoder(images), atol=1e-6)
        assert larger.image_encoder(images.repeat(1, 1, 2, 2)).shape == (1, 32, 16, 16)


def test_only_global_layers_are_changed(toy):
    encoder = MODELS.build(toy(2 * SIDE, scale_attention=True, distance_penalty=0.1)).image_encoder
    windowed, attended = (block.attn for block in encoder.blocks)
    assert windowed.distance_penalty is None and windowed.scale == 16**-0.5
    assert attended.distance_penalty.item() == pytest.approx(0.1)
    assert attended.scale == pytest.approx(16**-0.5 * np.log(256) / np.log(64))


def test_the_penalty_is_learned_and_saved(toy):
    model = MODELS.build(toy(2 * SIDE, distance_penalty=0.1))
    model.image_encoder(torch.randn(1, 3, 2 * SIDE, 2 * SIDE)).square().mean().backward()
    penalty = model.image_encoder.blocks[1].attn.distance_penalty
    assert penalty.grad.abs() > 0
    with torch.no_grad():
        penalty.fill_(0.7)
    other = MODELS.build(toy(2 * SIDE, distance_penalty=0.1))
    load_weights(other, model.state_dict(), "fine-tuned")
    assert other.image_encoder.blocks[1].attn.distance_penalty.item() == pytest.approx(0.7)


def test_under_autocast(toy):
    encoder = MODELS.build(toy(SIDE, distance_penalty=0.1, position_coefficient=0.1)).image_encoder
    with torch.autocast("cpu", torch.bfloat16):
        assert encoder(torch.randn(1, 3, SIDE, SIDE)).isfinite().all()


def test_behind_the_seam_with_images_that_are_not_square(toy):
    config = Config(dict(model=toy(2 * SIDE, scale_attention=True, distance_penalty=0.1)))
    segmenter = omgseg.load(config, "random", device="cpu")
    for size in ((30, 90), (3, 2), (200, 150)):
        state = segmenter.encode_image(np.zeros((*size, 3), np.uint8))
        found = segmenter.segment_prompts(state, Prompts(boxes=np.array([[0, 0, 2, 2]], np.float32)))
        assert found.rles[0]["size"] == list(size)


def test_the_file_of_another_model_is_named(toy, tmp_path):
    torch.save({"image_encoder.fuse_stage2.weight": torch.zeros(256, 192, 1, 1)}, tmp_path / "other.pth")
    config = Config(dict(model=toy(2 * SIDE, scale_attention=True)))
    with pytest.raises(CheckpointError, match=r"other\.pth holds edge-sam"):
        omgseg.load(config, tmp_path / "other.pth", device="cpu")


def test_images_without_objects_train(toy):
    """Alone they teach nothing, nor does the penalty get a gradient of them; beside others they change nothing."""
    model = MODELS.build(toy(SIDE, distance_penalty=0.1))
    samples = [DetDataSample(metainfo=dict(img_shape=(SIDE, SIDE))) for _ in range(2)]
    for sample, masks in zip(samples, (torch.zeros(0, SIDE, SIDE), torch.ones(1, SIDE, SIDE)), strict=True):
        sample.gt_instances = InstanceData(masks=masks.bool())
    images = torch.zeros(2, 1, 3, SIDE, SIDE, dtype=torch.uint8)
    losses = model(images[:1], samples[:1], mode="loss")
    assert losses and not any(losses.values())
    sum(losses.values()).backward()
    assert not model.image_encoder.blocks[1].attn.distance_penalty.grad
    losses = model(images, samples, mode="loss")
    assert all(torch.isfinite(loss) for loss in losses.values()) and losses["loss_focal"] > 0


@pytest.mark.parametrize("name", ["image_size", "trained_size"])
def test_a_size_below_a_patch_is_named(name):
    with pytest.raises(ValueError, match=f"{name}=4 is smaller than a patch"):
        SamImageEncoder(**{**SMALL, "image_size": SIDE, name: 4})
    with pytest.raises(ValueError, match="at least 2 tokens, not 64 after 1"):
        SamImageEncoder(**SMALL, image_size=SIDE, trained_size=8, scale_attention=True)


@pytest.mark.parametrize("config", sorted(CONFIGS.glob("*.py")), ids=lambda file: file.stem)
def test_configs_build(config):
    config = Config.fromfile(config)
    check_arguments(config)
    with torch.device("meta"):
        model = MODELS.build(config.model)
    assert model.image_encoder.image_size == model.prompt_encoder.image_size == model.image_size


def test_mobile_sams_attention_is_scaled():
    sizes = dict(trunk=dict(embed_dims=(8, 8, 20, 20), depths=(1, 1, 1, 1)))
    torch.manual_seed(0)
    plain = MODELS.build(dict(type="MobileSamImageEncoder", image_size=128, **sizes)).eval()
    images, growth = torch.randn(1, 3, 128, 128), np.log(4 * 1444) / np.log(1444)
    for trained_size, factor in ((128, 1.0), (64, growth)):
        kind = dict(type="LargerMobileSamImageEncoder", image_size=128, trained_size=trained_size)
        larger = MODELS.build({**kind, **sizes}).eval()
        larger.load_state_dict(plain.state_dict())
        scaled = [module.scale for module in larger.modules() if hasattr(module, "attention_biases")]
        usual = [module.scale for module in plain.modules() if hasattr(module, "attention_biases")]
        assert len(scaled) == 3 and np.allclose(np.divide(scaled, usual), factor)
        same = torch.allclose(larger(images), plain(images), atol=1e-5)
        assert same == (factor == 1.0)
