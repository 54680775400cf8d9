"""A model that has learned corrections behind the seam: all prompts of an object are answered together."""

import numpy as np
import pytest
import torch

from omgseg.inference import InteractivePredictor
from omgseg.models.omgseg.adapter import OMGSegSegmenter
from omgseg.protocols import Prompts
from omgseg.structures.run_lengths import decode_masks
from tests.tiny_omgseg import clicks, config_for_calls, scene, tiny_inferencer

HEIGHT, WIDTH = scene().shape[:2]
BOX = np.array([(25.5, 10, 80, 65.5)], np.float32)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> OMGSegSegmenter:
    """Random weights, those of corrections too."""
    segmenter = tiny_inferencer(config_for_calls(tmp_path_factory.mktemp("clip"))).segmenter
    generator = torch.Generator().manual_seed(0)
    encoder = segmenter.model.prompt_encoder
    with torch.no_grad():
        for weight in (encoder.correction_embed, encoder.given_mask_proj):
            weight.copy_(torch.randn(weight.shape, generator=generator))
    return segmenter


@pytest.fixture(scope="module")
def state(model):
    return model.encode_image(scene())


def masks(found) -> np.ndarray:
    return decode_masks(found.rles, (HEIGHT, WIDTH))


def decodes(model, monkeypatch) -> list[int]:
    """The numbers of objects that are decoded from now on."""
    seen, decode = [], model.model.decode

    def note(features, prompts, **options):
        seen.append(prompts.points.shape[1])
        return decode(features, prompts, **options)

    monkeypatch.setattr(model.model, "decode", note)
    return seen


def test_a_single_prompt_is_what_it_was(model, state, monkeypatch):
    prompts = [Prompts(np.array([[[50, 40]], [[120, 8]]], np.float32)), Prompts(boxes=BOX)]
    groups = [model.segment_prompts(state, prompt) for prompt in prompts]
    monkeypatch.setattr(model.model.prompt_encoder, "corrections", False)
    for prompt, group in zip(prompts, groups, strict=True):
        single = model.segment_prompts(state, prompt)
        different = masks(single) != masks(group)
        if prompt.points is not None:  # a click is obeyed, also where the random model does not show it
            for row, ((x, y),) in enumerate(prompt.points.astype(int)):
                assert masks(group)[row, y, x]
                if masks(single)[row, y, x]:
                    assert different[row].mean() < 1e-3
        else:
            assert different.mean() < 1e-3
            np.testing.assert_allclose(group.scores, single.scores, rtol=1e-3)


def test_all_clicks_are_answered_at_once(model, state, monkeypatch):
    seen = decodes(model, monkeypatch)
    of_objects = [[(50, 40, 1), (100, 80, 0)], [(5, 5, 1)], [(20, 70, 0), (60, 20, 1), (90, 40, 1)]]
    together = model.segment_prompts(state, clicks(*of_objects))
    assert seen == [3]
    alone = np.concatenate([masks(model.segment_prompts(state, clicks(own))) for own in of_objects])
    assert (masks(together) != alone).mean() < 1e-3
    first = model.segment_prompts(state, clicks(of_objects[0][:1]))
    assert first.rles != together.rles[:1]
    for own, mask in zip(of_objects, masks(together), strict=True):
        for x, y, label in own:
            assert mask[y, x] == label, "a click counts, whatever the model answers"
    padded = [[*own, (0, 0, -1)] for own in of_objects]
    assert model.segment_prompts(state, clicks(*padded)).rles == together.rles


def test_the_first_positive_click_begins_and_negative_ones_alone_show_nothing(model, state):
    positive, negative = (50, 40, 1), (100, 80, 0)
    assert (
        model.segment_prompts(state, clicks([negative, positive])).rles
        == model.segment_prompts(state, clicks([positive, negative])).rles
    )
    nothing = model.segment_prompts(state, clicks([negative]))
    assert not masks(nothing).any() and nothing.scores.tolist() == [0]


def test_masks_of_boxes_stay_inside_unless_a_click_lies_outside(model, state):
    outside = np.ones((HEIGHT, WIDTH), bool)
    outside[10:66, 25:80] = False
    for own in ([], [(50, 40, 1)], [(50, 40, 0)]):
        prompts = Prompts(boxes=BOX) if not own else clicks(own, boxes=BOX)
        assert not (masks(model.segment_prompts(state, prompts))[0] & outside).any()
    beyond = masks(model.segment_prompts(state, clicks([(100, 70, 1)], boxes=BOX)))[0]
    assert beyond[70, 100]


def test_the_answer_so_far_is_corrected(model, state, monkeypatch):
    answer = model.segment_prompts(state, clicks([(50, 40, 1)]))
    mask = masks(answer)
    y, x = np.argwhere(mask[0])[mask.sum() // 2]
    both = [(50, 40, 1), (x, y, 0)]
    corrected = model.segment_prompts(state, clicks(both, masks=mask, carry=answer.carry))
    assert mask[0, y, x] and not masks(corrected)[0, y, x]
    unchanged = model.segment_prompts(state, clicks(both, masks=masks(corrected), carry=corrected.carry))
    assert unchanged.rles == corrected.rles and unchanged.scores == corrected.scores
    given = []
    encode = model.model.prompt_encoder.encode_groups
    monkeypatch.setattr(
        model.model.prompt_encoder,
        "encode_groups",
        lambda size, groups, *rest: given.append(groups) or encode(size, groups, *rest),
    )
    model.segment_prompts(state, clicks(both, masks=mask, carry=answer.carry))
    assert given[0].masks.shape[-2:] == state.features.mask_features.shape[-2:]
    inside = mask[0].mean() * given[0].masks.numel()
    assert 0.5 * inside < given[0].masks.sum() < 2 * inside
    with torch.no_grad():
        weight = model.model.prompt_encoder.given_mask_proj.clone()
        model.model.prompt_encoder.given_mask_proj.zero_()
        model.segment_prompts(state, clicks(both, masks=mask, carry=answer.carry))
        model.model.prompt_encoder.given_mask_proj.copy_(weight)
    assert given[1].masks is None, "a model that has not learned masks sees none"


def test_the_box_that_an_answer_began_with_stays_its_first_prompt(model, state):
    answer = model.segment_prompts(state, Prompts(boxes=BOX))
    one_by_one = model.segment_prompts(state, clicks([(50, 40, 0)], masks=masks(answer), carry=answer.carry))
    assert one_by_one.carry.boxes is BOX
    drawn = model.segment_prompts(state, clicks([(50, 40, 0)], masks=masks(answer)))
    assert not masks(drawn)[0, 40, 50] and drawn.carry.boxes is None


def test_prompts_that_say_little_or_contradict_each_other(model, state):
    predictor = InteractivePredictor(model)
    predictor.set_image(scene())
    for labels in ([1, 0], [0, 1]):
        found = predictor.predict(points=[(50, 40), (50, 40)], labels=labels)
        assert found.masks[0, 40, 50] == labels[-1], "of contradictory clicks the last one counts"
    nothing = np.zeros((HEIGHT, WIDTH), bool)
    found = predictor.predict(points=[(50, 40)], labels=[0], mask=nothing)
    assert not found.masks.any() and found.scores[0] == 0
    from_nothing = model.segment_prompts(state, clicks([(50, 40, 1)], masks=nothing[None]))
    assert from_nothing.rles == model.segment_prompts(state, clicks([(50, 40, 1)])).rles
    with pytest.raises(ValueError, match="x1 < x2"):
        predictor.predict(boxes=(30, 10, 30, 40))
    whole = model.segment_prompts(state, Prompts(masks=np.stack([nothing, ~nothing])))
    assert masks(whole)[1].all() and not masks(whole)[0].any() and whole.scores.tolist() == [0, 1]


def test_a_hundred_clicks_on_one_object(model, state, monkeypatch):
    seen = decodes(model, monkeypatch)
    generator = np.random.default_rng(0)
    many = [(int(x), int(y), int(x) % 2) for x, y in generator.integers((0, 0), (WIDTH, HEIGHT), (100, 2))]
    found = model.segment_prompts(state, clicks(many, *[[(50, 40, 1)]] * 4))
    x, y, label = many[-1]
    assert masks(found)[0, y, x] == label and sum(seen) == 5 and max(seen) == 2
    few = model.segment_prompts(state, clicks([(50, 40, 1)]))
    assert (masks(found)[1] != masks(few)[0]).mean() < 1e-3
