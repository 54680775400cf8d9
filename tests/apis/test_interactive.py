"""Clicks and boxes on an image that is encoded once."""

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData

from omgseg.apis import InteractivePredictor, read_input
from omgseg.apis.packing import pack_clip


@pytest.fixture
def predictor(seg, photo) -> InteractivePredictor:
    predictor = InteractivePredictor(seg.model, seg.resize)
    predictor.set_image(photo)
    return predictor


def test_image_is_encoded_once(predictor, photo, monkeypatch):
    calls = []
    encode = predictor.model.encode
    monkeypatch.setattr(predictor.model, "encode", lambda *args: calls.append(1) or encode(*args))
    first = predictor.predict(points=[(50, 40)]).pred_instances.masks
    predictor.predict(boxes=[(20, 10, 80, 70)])
    assert torch.equal(predictor.predict(points=[(50, 40)]).pred_instances.masks, first)
    assert not calls
    predictor.set_image(photo)
    assert len(calls) == 1


def test_equals_the_model_on_a_sample_with_prompts(predictor, photo):
    """Prompts arrive in pixels of the original image, the model takes those of the resized one."""
    packed = pack_clip(read_input(photo), ("interactive",), predictor.resize)
    width_factor, height_factor = packed["data_samples"].scale_factor
    assert width_factor != 1
    points = torch.tensor([[50.0, 40.0], [120.0, 8.0]])
    packed["data_samples"].prompts = InstanceData(points=points * torch.tensor([width_factor, height_factor]))
    (reference,) = predictor.model.test_step({key: [value] for key, value in packed.items()})
    ours = predictor.predict(points=points)
    assert torch.equal(ours.pred_instances.masks, reference.pred_instances.masks)
    assert torch.allclose(ours.prompts.points, reference.prompts.points)


def test_results_follow_the_prompts(predictor):
    result = predictor.predict(points=np.array([[50, 40], [5, 5], [130, 80]])).pred_instances
    assert result.masks.shape == (3, 90, 140) and result.masks.dtype == torch.bool
    assert result.scores.shape == (3,) and result.bboxes.shape == (3, 4)
    assert len(predictor.predict(points=(50, 40)).pred_instances) == 1
    assert len(predictor.predict(boxes=(0, 0, 140, 90)).pred_instances) == 1
    assert predictor.image_size == (140, 90)


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        (dict(), "either points"),
        (dict(points=[(1, 1)], boxes=[(0, 0, 2, 2)]), "either points"),
        (dict(points=[]), "no points"),
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


def test_prompt_before_image(seg):
    with pytest.raises(RuntimeError, match="call set_image first"):
        InteractivePredictor(seg.model, seg.resize).predict(points=[(1, 1)])
