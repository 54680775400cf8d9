"""All that is said of an object as a group of tokens: encoding, decoding, and weights that know single prompts only."""

from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from omgseg.models.checkpoints.loading import load_state
from omgseg.models.checkpoints.published import convert_state_dict
from omgseg.models.omgseg.prompt_encoder import PromptEncoder, PromptGroups
from omgseg.models.omgseg.query_decoder import SharedQueryDecoder, _attention_bias, _bias_of_masks

SIZE = (64, 96)
CHANNELS = 16
POINTS = torch.tensor([[[20.0, 30.0], [70.0, 12.0]]])


def groups(clicks=(), labels=(), masks=None, points=POINTS) -> PromptGroups:
    """Objects that begin with a point each, and have the same further clicks."""
    is_point = torch.ones(points.shape[:2], dtype=torch.bool)
    first = PromptGroups.first(points, points.repeat(1, 1, 2), is_point)
    batch, objects = points.shape[:2]
    return replace(
        first,
        clicks=torch.tensor(clicks, dtype=torch.float32).view(1, 1, -1, 2).expand(batch, objects, -1, -1),
        labels=torch.tensor(labels, dtype=torch.long).view(1, 1, -1).expand(batch, objects, -1),
        masks=masks,
    )


@pytest.fixture
def learned() -> tuple[PromptEncoder, SharedQueryDecoder]:
    """A prompt encoder whose weights of corrections are not zero, and a decoder."""
    torch.manual_seed(0)
    encoder = PromptEncoder(CHANNELS, corrections=True)
    decoder = SharedQueryDecoder(
        num_queries=4, num_layers=3, channels=CHANNELS, num_heads=2, feedforward_channels=32
    )
    with torch.no_grad():
        encoder.correction_embed.normal_()
        encoder.given_mask_proj.normal_()
    return encoder.eval(), decoder.eval()


def features() -> tuple[torch.Tensor, list[torch.Tensor]]:
    generator = torch.Generator().manual_seed(3)
    mask_features, *levels = (
        torch.randn(1, CHANNELS, SIZE[0] // stride, SIZE[1] // stride, generator=generator)
        for stride in (4, 32, 16, 8)
    )
    return mask_features, levels


@torch.no_grad()
def masks_of(learned, prompts: PromptGroups) -> torch.Tensor:
    """Mask logits (N, h, w)."""
    encoder, decoder = learned
    mask_features, levels = features()
    tokens = encoder.encode_groups(SIZE, prompts, mask_features)
    (output,) = decoder(mask_features, levels, 1, tokens, every_layer=False)
    assert output.queries.shape == (1, prompts.points.shape[1], CHANNELS)
    return output.mask_logits[0, :, 0]


@pytest.mark.golden
def test_one_prompt_alone_is_the_published_prompt(golden_model, golden_head):
    """Also as a group with padding, by an encoder that has read weights of single prompts."""
    expected = golden_model["interactive"]
    mask_features, levels = golden_head["pixel_decoder"](expected["features"])
    encoder = PromptEncoder(golden_model["config"]["feat_channels"], corrections=True)
    with torch.no_grad():
        encoder.correction_embed.normal_()  # must go: the weights say nothing of corrections
    published = {f"panoptic_head.{key}": value.float() for key, value in golden_model["state_dict"].items()}
    own = "prompt_encoder."
    weights = {
        key[len(own) :]: value for key, value in convert_state_dict(published).items() if key.startswith(own)
    }
    assert load_state(encoder, weights).is_clean
    assert not encoder.knows_corrections and not encoder.knows_masks
    size = tuple(4 * side for side in expected["features"][0].shape[-2:])
    for padding in (0, 2):
        prompts = groups([(5, 5)] * padding, [-1] * padding, points=expected["points"])
        with torch.no_grad():
            tokens = encoder.encode_groups(size, prompts, mask_features)
            outputs = golden_head["query_decoder"](mask_features, levels, 1, tokens)
        for output, masks in zip(outputs, expected["mask_logits"], strict=True):
            assert_close(output.mask_logits[:, :, 0], masks, atol=1e-4, rtol=0)


def test_a_box_alone_is_a_single_box(learned):
    encoder, decoder = learned
    boxes = torch.tensor([[[10.0, 8.0, 40.0, 50.0], [50.0, 2.0, 90.0, 30.0]]])
    mask_features, levels = features()
    with torch.no_grad():
        (expected,) = decoder(mask_features, levels, 1, encoder(SIZE, boxes=boxes), every_layer=False)
    first = PromptGroups.first(POINTS, boxes, torch.zeros(1, 2, dtype=torch.bool))
    assert_close(masks_of(learned, first), expected.mask_logits[0, :, 0])


def test_clicks_change_their_own_object_alone(learned):
    alone = masks_of(learned, groups())
    both = groups([(40, 40), (8, 60)], [0, 1])
    corrected = masks_of(learned, both)
    assert (corrected - alone).abs().amax((1, 2)).min() > 1e-2
    of_one = replace(both, labels=torch.tensor([[[0, 1], [-1, -1]]]))
    found = masks_of(learned, of_one)
    assert_close(found[0], corrected[0], atol=1e-5, rtol=1e-4)
    assert_close(found[1], alone[1], atol=1e-5, rtol=1e-4)
    other_meaning = masks_of(learned, groups([(40, 40), (8, 60)], [1, 1]))
    elsewhere = masks_of(learned, groups([(40, 20), (8, 60)], [0, 1]))
    for changed in (other_meaning, elsewhere):
        assert (changed - corrected).abs().max() > 1e-2


def test_a_given_mask_is_looked_at_first_and_joins_the_query(learned):
    encoder, _ = learned
    given = torch.zeros(1, 2, 16, 24, dtype=torch.bool)
    assert_close(masks_of(learned, groups(masks=given)), masks_of(learned, groups()))
    given[0, 0, 4:9, 6:12] = True
    with_mask, without = masks_of(learned, groups(masks=given)), masks_of(learned, groups())
    assert (with_mask[0] - without[0]).abs().max() > 1e-2
    assert_close(with_mask[1], without[1])
    with torch.no_grad():
        encoder.given_mask_proj.zero_()
    first_look = masks_of(learned, groups(masks=given))
    assert (first_look[0] - without[0]).abs().max() > 1e-2, "the attention alone, without the pooled feature"
    mask_features, _ = features()
    with torch.no_grad():
        encoder.given_mask_proj.copy_(torch.eye(CHANNELS))
    plain, tokens = (
        encoder.encode_groups(SIZE, groups(masks=masks), mask_features) for masks in (None, given)
    )
    assert_close((tokens.features - plain.features)[0, 0, 0], mask_features[0, :, 4:9, 6:12].mean((1, 2)))


def test_cells_that_a_given_mask_touches_are_looked_at():
    torch.manual_seed(0)
    shown = _attention_bias(torch.randn(1, 2, CHANNELS), torch.randn(1, CHANNELS, 6))
    given = torch.zeros(1, 2, 16, 24, dtype=torch.bool)
    given[0, 0, 0, 0] = given[0, 0, 9, 23] = True
    bias = _bias_of_masks(given, (2, 3), shown)
    assert (bias[0, 0, 0] == 0).tolist() == [True, False, False, False, False, True]
    assert bias[0, 0, 0, 1] < -1e38
    assert torch.equal(bias[0, 0, 1], shown[0, 0, 1])


def test_weights_of_corrections_are_known_when_they_have_been_trained(learned):
    encoder, _ = learned
    assert encoder.knows_corrections and encoder.knows_masks
    plain = PromptEncoder(CHANNELS)
    assert not plain.knows_corrections and not plain.knows_masks
    assert set(plain.state_dict()) == {
        "mask_tokens.weight",
        "kind_embed.weight",
        "position_proj.weight",
        "position_proj.bias",
    }
    other = PromptEncoder(CHANNELS, corrections=True)
    assert not other.knows_corrections
    load_state(other, encoder.state_dict())
    assert other.knows_corrections and torch.equal(other.correction_embed, encoder.correction_embed)
    load_state(other, plain.state_dict())
    assert not other.knows_corrections and not other.knows_masks
