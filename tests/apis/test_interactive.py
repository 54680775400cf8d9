"""Clicks and boxes on an image that is encoded once."""

import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData

from omgseg.apis import InteractivePredictor, read_image
from omgseg.apis.everything import _first_of_equals
from omgseg.apis.inputs import Clip
from omgseg.apis.packing import pack_clip
from omgseg.models.decoder import query_decoder
from omgseg.models.decoder.layers import Attention
from omgseg.models.readout.clicks import REACH
from omgseg.structures import NO_CLASS, Task


@pytest.fixture
def predictor(seg, photo) -> InteractivePredictor:
    predictor = InteractivePredictor(seg.model, seg.resize)
    predictor.set_image(photo)
    return predictor


def error_of(mask: np.ndarray) -> tuple[int, int, int]:
    """A click that contradicts a mask: x, y, label."""
    y, x = np.argwhere(~mask)[len(np.argwhere(~mask)) // 2] if not mask.all() else (45, 70)
    return int(x), int(y), int(not mask[y, x])


def test_image_is_encoded_once(predictor, photo, monkeypatch):
    calls = []
    encoder = predictor.model.image_encoder
    encode = encoder.forward
    monkeypatch.setattr(encoder, "forward", lambda images: calls.append(1) or encode(images))
    first = predictor.predict(points=[(50, 40)]).masks
    predictor.predict(boxes=(20, 10, 80, 70))
    predictor.predict_many(boxes=[(20, 10, 80, 70)])
    predictor.segment_everything(points_per_side=2)
    assert np.array_equal(predictor.predict(points=[(50, 40)]).masks, first)
    assert not calls
    predictor.set_image(photo)
    assert len(calls) == 1


def test_prompts_share_what_depends_on_the_image(predictor, photo, monkeypatch):
    """No prompt projects the image's cells or resizes its features again, and none changes what the others get."""
    projected, resized = [], []
    project, resize = Attention.project, query_decoder._resize_frames
    monkeypatch.setattr(
        Attention,
        "project",
        lambda self, key, value: projected.append(len(key[0])) or project(self, key, value),
    )
    monkeypatch.setattr(
        query_decoder, "_resize_frames", lambda maps, size: resized.append(size) or resize(maps, size)
    )
    first = predictor.predict(points=[(50, 40)])
    predictor.predict(boxes=(20, 10, 80, 70))
    everything = predictor.segment_everything(points_per_side=2, min_score=0.1)
    layers = len(predictor.model.query_decoder.layers)
    assert (
        set(projected) == {1, 4, 12} and not resized
    )  # the queries alone: a prompt, the grid, the learned ones
    again = predictor.predict(points=[(50, 40)])
    assert np.array_equal(again.masks, first.masks) and again.scores[0] == first.scores[0]
    projected.clear()
    predictor.set_image(photo)
    cells = [level.shape[-2] * level.shape[-1] for level in predictor._features.levels]
    assert projected == cells[:layers] and len(resized) == len(set(cells))
    predictor._features = replace(predictor._features, memory=None)
    forgetful = predictor.predict(points=[(50, 40)])
    assert (forgetful.masks != first.masks).mean() < 1e-3
    np.testing.assert_allclose(forgetful.scores, first.scores, rtol=1e-4)
    same = predictor.segment_everything(points_per_side=2, min_score=0.1)
    assert len(same) == len(everything)
    np.testing.assert_allclose(same.scores, everything.scores, rtol=1e-4)


def test_another_image_takes_the_place_of_the_first(predictor, seg, photo, monkeypatch):
    first = predictor.predict(points=[(50, 40)])
    memory = [weakref.ref(part) for part in (predictor._features, *predictor._features.memory.projected[0])]
    other = np.ascontiguousarray(read_image(photo)[::-1, ::-1])
    alive = []
    encode = predictor.model.encode
    monkeypatch.setattr(
        predictor.model,
        "encode",
        lambda *given: alive.extend(ref() is not None for ref in memory) or encode(*given),
    )
    predictor.set_image(other)
    assert alive == [False] * 3  # gone before the next one is made
    found = predictor.predict(points=[(50, 40)])
    fresh = InteractivePredictor(seg.model, seg.resize)
    fresh.set_image(other)
    expected = fresh.predict(points=[(50, 40)])
    assert np.array_equal(found.masks, expected.masks) and found.scores[0] == expected.scores[0]
    assert not np.array_equal(found.masks, first.masks)


def test_no_image_is_set_after_one_that_could_not_be_encoded(predictor, photo, monkeypatch):
    with pytest.raises(FileNotFoundError):
        predictor.set_image(photo.with_name("missing.png"))
    assert predictor.predict(points=[(50, 40)])  # a wrong file changes nothing

    def fail(*given):
        raise MemoryError

    monkeypatch.setattr(predictor.model, "encode", fail)
    with pytest.raises(MemoryError):
        predictor.set_image(photo)
    with pytest.raises(RuntimeError, match="call set_image first"):
        predictor.predict(points=[(50, 40)])


def test_equals_the_model_on_a_sample_with_prompts(predictor, photo):
    """Prompts arrive in pixels of the original image, the model takes those of the resized one."""
    packed = pack_clip(Clip([read_image(photo)], [], False, "photo"), ("interactive",), predictor.resize)
    width_factor, height_factor = packed["data_samples"].scale_factor
    assert width_factor != 1
    points = torch.tensor([[50.0, 40.0], [120.0, 8.0]])
    packed["data_samples"].prompts = InstanceData(points=points * torch.tensor([width_factor, height_factor]))
    (reference,) = predictor.model.test_step({key: [value] for key, value in packed.items()})
    ours = predictor.predict_many(points=points)
    assert np.array_equal(ours.masks, reference.pred_instances.masks.numpy())
    np.testing.assert_allclose(ours.scores, reference.pred_instances.scores.numpy(), rtol=1e-4)
    alone = predictor.predict(points=points[:1])
    assert (alone.masks[0] != ours.masks[0]).mean() < 1e-3  # other batch sizes round differently
    np.testing.assert_allclose(alone.scores, ours.scores[:1], rtol=1e-3)


def test_results_follow_the_prompts(predictor, photo):
    result = predictor.predict_many(points=np.array([[50, 40], [5, 5], [130, 80]]))
    assert result.task is Task.INTERACTIVE and result.size == (90, 140)
    assert result.masks.shape == (3, 90, 140) and result.labels.tolist() == [NO_CLASS] * 3
    assert result.path == photo and result.image.shape == (90, 140, 3)
    assert len(predictor.predict_many(points=(50, 40))) == 1
    assert len(predictor.predict(points=[(50, 40), (60, 45)])) == 1
    assert len(predictor.predict_many(boxes=[(0, 0, 140, 90), (5, 5, 20, 20)])) == 2
    assert predictor.image_size == (140, 90)


def test_a_click_changes_the_mask_near_it_only(predictor):
    before = predictor.predict(points=[(50, 40)]).masks[0]
    x, y, label = error_of(before)
    after = predictor.predict(points=[(x, y)], labels=[label], mask=before).masks[0]
    assert after[y, x] == bool(label) != before[y, x]
    rows, columns = np.nonzero(before != after)
    side = before if before[y, x] else ~before
    edge = np.argwhere(~np.pad(side, 1)) - 1  # beyond the border is an edge, too
    depth = np.hypot(*(edge - (y, x)).T).min()
    assert np.hypot(columns - x, rows - y).max() <= REACH * depth + 1


def test_clicks_one_by_one_equal_clicks_at_once(predictor):
    first = predictor.predict(points=[(50, 40)]).masks[0]
    x, y, label = error_of(first)
    one_by_one = predictor.predict(points=(x, y), labels=[label], mask=first)
    at_once = predictor.predict(points=[(50, 40), (x, y)], labels=[1, label])
    assert (one_by_one.masks[0] != at_once.masks[0]).mean() < 1e-3
    negative_first = predictor.predict(points=[(x, y), (50, 40)], labels=[label, 1])
    if not label:
        assert np.array_equal(negative_first.masks, at_once.masks)


def test_a_negative_click_takes_away(predictor):
    drawn = np.zeros((90, 140), bool)
    drawn[20:60, 20:80] = True
    kept = predictor.predict(points=[(30, 40)], labels=[0], mask=drawn)
    assert (
        not kept.masks[0][40, 30] and kept.masks[0].sum() < drawn.sum() and not (kept.masks[0] & ~drawn).any()
    )
    assert kept.scores[0] == 1  # the user has drawn all of it
    unchanged = predictor.predict(points=[(120, 80)], labels=[0], mask=drawn)
    assert np.array_equal(unchanged.masks[0], drawn)


def test_a_box_is_refined_by_clicks(predictor):
    box = predictor.predict(boxes=(20, 10, 80, 70)).masks[0]
    x, y, label = error_of(box)
    refined = predictor.predict(boxes=[(20, 10, 80, 70)], points=[(x, y)], labels=[label]).masks[0]
    assert refined[y, x] == bool(label) and not np.array_equal(refined, box)


def test_a_box_holds_its_object(predictor):
    inside = np.zeros((90, 140), bool)
    inside[30:41, 20:81] = True
    box = (20.0, 30.5, 80.5, 41)
    assert not (predictor.predict(boxes=box).masks[0] & ~inside).any()
    many = predictor.predict_many(boxes=[box, (0, 0, 140, 90)]).masks
    assert many.any() and not (many[0] & ~inside).any() and (many[1] & ~inside).any()


def test_masks_get_names_when_there_are_words(predictor):
    predictor.vocabulary = ["dog", "truck", "sky"]
    found = predictor.predict(points=[(50, 40)])
    assert found.labels[0] in (0, 1, 2) and found.vocabulary.names == ["dog", "truck", "sky"]
    full = np.ones((90, 140), bool)
    whole = predictor.predict(points=[(5, 5)], mask=full)
    feature = predictor._features.clip_feature
    inside = torch.zeros(1, 1, *feature.shape[-2:], dtype=torch.bool)
    sample = predictor._sample
    rows, columns = (sample.img_shape[axis] / sample.batch_input_shape[axis] for axis in (0, 1))
    inside[..., : round(rows * feature.shape[2]), : round(columns * feature.shape[3])] = True
    embedding, _ = predictor.model.image_encoder.embed_masks(feature, inside)
    expected = (predictor.model.class_embeddings[:, 0] @ embedding[0, 0]).argmax()
    assert whole.labels[0] == expected
    predictor.vocabulary = None
    assert predictor.predict(points=[(50, 40)]).labels.tolist() == [NO_CLASS]


def test_everything_finds_each_thing_once(predictor):
    found = predictor.segment_everything(points_per_side=4, min_score=0.1, max_overlap=0.7)
    assert len(found) > 1 and (np.diff(found.scores) <= 0).all() and found.scores.min() >= 0.1
    assert found.masks.any((1, 2)).all()
    fewer = predictor.segment_everything(points_per_side=4, min_score=0.1, max_overlap=0.1)
    assert 0 < len(fewer) < len(found)
    assert len(predictor.segment_everything(points_per_side=4, min_score=1.1)) == 0
    with pytest.raises(ValueError, match="points_per_side is 0"):
        predictor.segment_everything(points_per_side=0)


def test_of_equal_masks_the_first_stays():
    masks = torch.zeros(4, 4, 10, dtype=torch.bool)
    masks[0, :, :8] = masks[1, :, :7] = masks[2, :, 8:] = masks[3, :, :2] = True
    assert _first_of_equals(masks, 0.7).tolist() == [0, 2, 3]
    assert _first_of_equals(masks, 0.9).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        (dict(), "give points="),
        (dict(mask=np.zeros((90, 140))), "give points="),
        (dict(boxes=(0, 0, 2, 2), labels=[1]), "labels say what the points mean"),
        (dict(boxes=(0, 0, 2, 2), mask=np.zeros((90, 140))), "a box or a mask"),
        (dict(boxes=[(0, 0, 2, 2), (1, 1, 3, 3)]), "call predict_many"),
        (dict(points=[]), "no points"),
        (dict(points=[(1, 1)], labels=[0]), "give a positive point"),
        (dict(points=[(1, 1)], labels=[2]), "one number a point"),
        (dict(points=[(1, 1)], labels=[1, 0]), "one number a point"),
        (dict(points=[(1, 1)], mask=np.zeros((9, 14))), r"a mask is \(H, W\) = \(90, 140\)"),
        (dict(points=[(1, 2, 3)]), "rows of 2 numbers"),
        (dict(points=["a"]), "rows of 2 numbers"),
        (dict(points=[(10, 10), (-1, 5)]), r"point \(-1, 5\) lies outside of the image of 140x90"),
        (dict(points=[(10, 90)]), "outside"),
        (dict(points=[(float("nan"), 1)]), "outside"),
        (dict(boxes=[(0, 0, 141, 20)]), r"box \(0, 0, 141, 20\) lies outside"),
        (dict(boxes=[(30, 10, 20, 40)]), "x1 < x2"),
    ],
)
def test_wrong_prompts(predictor, prompts, message):
    with pytest.raises(ValueError, match=message):
        predictor.predict(**prompts)


@pytest.mark.parametrize("prompts", [dict(), dict(points=[(1, 1)], boxes=[(0, 0, 2, 2)])])
def test_many_prompts_are_of_one_kind(predictor, prompts):
    with pytest.raises(ValueError, match="either points"):
        predictor.predict_many(**prompts)


def test_prompt_before_image(seg):
    fresh = InteractivePredictor(seg.model, seg.resize)
    for call in (lambda: fresh.predict(points=[(1, 1)]), fresh.segment_everything, lambda: fresh.image_size):
        with pytest.raises(RuntimeError, match="call set_image first"):
            call()
