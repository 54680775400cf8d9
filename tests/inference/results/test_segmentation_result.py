"""One image's segments: what follows from the run lengths, and that nothing can be changed."""

import pickle

import numpy as np
import pytest
from PIL import Image

from omgseg.inference.results import SegmentationResult
from omgseg.structures import Task
from omgseg.structures.run_lengths import encode_masks


def test_content_and_types(panoptic, disjoint_masks):
    result = panoptic()
    masks = disjoint_masks()
    assert result.task is Task.PANOPTIC and len(result) == 4
    assert result.masks.dtype == bool and np.array_equal(result.masks, masks)
    assert (result.labels.dtype, result.scores.dtype, result.ids.dtype) == (np.int64, np.float32, np.int64)
    assert result.names == ["cat", "dog", "sky", "road"]
    assert result.is_thing.tolist() == [True, True, False, False]
    assert result.areas.tolist() == masks.sum((1, 2)).tolist()
    for box, mask in zip(result.boxes, masks, strict=True):
        y, x = np.nonzero(mask)
        assert box.tolist() == [x.min(), y.min(), x.max() + 1, y.max() + 1]
    assert repr(result) == "SegmentationResult(panoptic, 'street', 64x48: 4 (cat, dog, sky, road))"


def test_maps_show_the_first_of_overlapping_masks(instances):
    result = instances()
    first, second, third = result.masks
    assert (first & second).any() and (second & third).any()
    expected = np.select([first, second, third], [0, 1, 0], -1)
    assert result.label_map.dtype == np.int32 and np.array_equal(result.label_map, expected)
    assert result.id_map.dtype == np.int32
    assert np.array_equal(result.id_map, np.select([first, second, third], [1, 2, 3], 0))


def test_no_segments(words):
    result = SegmentationResult("instance", (5, 7), [], [], [], vocabulary=words)
    assert result.masks.shape == (0, 5, 7) and result.boxes.shape == (0, 4) and result.areas.shape == (0,)
    assert (result.label_map == -1).all() and not result.id_map.any() and result.names == []
    assert len(result.confident(0.5)) == 0


def test_without_classes():
    result = SegmentationResult("vos", (2, 3), encode_masks([np.eye(2, 3) > 0]), [-1], [1.0], [5])
    assert result.names == [""] and result.is_thing.tolist() == [True]
    assert result.label_map.max() == -1 and result.id_map.max() == 5


def test_select_and_confident(instances):
    result = instances()
    assert result.confident(0.6).ids.tolist() == [1, 2]
    turned = result.select([2, 0])
    assert (turned.ids.tolist(), turned.labels.tolist()) == ([3, 1], [0, 0])
    assert np.array_equal(turned.masks, result.masks[[2, 0]])
    assert result.select(result.labels == 1).names == ["dog"]
    assert len(result.select([])) == 0
    with pytest.raises(ValueError, match=r"keep: shape \(2,\), but there are 3 segments"):
        result.select([True, False])


def test_nothing_can_be_changed(instances):
    result = instances()
    for name in ("labels", "scores", "ids", "boxes", "areas"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(result, name)[0] = 0
    with pytest.raises(AttributeError, match="replace"):
        result.labels = np.zeros(3)
    moved = result.replace(name="other", frame_index=3)
    assert (moved.name, moved.frame_index, result.name) == ("other", 3, "yard")
    assert moved != result and moved.replace(name="yard", frame_index=None) == result
    assert pickle.loads(pickle.dumps(result)) == result


def test_a_given_array_is_not_kept(instances):
    scores = np.array([0.9, 0.8, 0.7], np.float32)
    result = instances(scores=scores)
    scores[:] = 0
    assert result.scores.tolist() == pytest.approx([0.9, 0.8, 0.7])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": [0, 1]}, r"labels: shape \(2,\), but there are 3 masks"),
        ({"labels": [0, 1, 4]}, r"labels: .* vocabulary of 4"),
        ({"labels": [0, -2, 1]}, r"labels: "),
        ({"scores": [0.1, float("nan"), 1]}, "scores: not all are finite"),
        ({"ids": [1, 1, 2]}, r"ids: \[1, 1, 2\] are not all different"),
        ({"ids": [0, 1, 2]}, "ids: .* above 0"),
        ({"image": np.zeros((48, 65, 3), np.uint8)}, r"image: shape \(48, 65, 3\) instead of \(48, 64, 3\)"),
        (
            {"rles": encode_masks([np.ones((2, 2))] * 3)},
            r"rles: a mask of size \[2, 2\] in an image of \[48, 64\]",
        ),
        ({"task": "counting"}, "counting"),
    ],
)
def test_what_does_not_fit_is_named(instances, change, message):
    with pytest.raises(ValueError, match=message):
        instances().replace(**change)


def test_the_image_is_read_when_it_is_needed(instances, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    file = tmp_path / "yard.png"
    Image.fromarray(pixels).save(file)
    result = instances(path=file)
    assert np.array_equal(result.image, pixels)
    assert instances(path=tmp_path / "film.mp4").image is None and instances().image is None
    Image.fromarray(pixels[:40]).save(file)
    with pytest.raises(ValueError, match=r"yard\.png: \(40, 64\) pixels .* made of \(48, 64\)"):
        _ = result.image
    assert np.array_equal(instances(image=pixels, path=file).image, pixels)
