"""One image's segments: what follows from the run lengths, and that nothing can be changed."""

import pickle

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from omgseg.apis.results import SegmentationResult
from omgseg.apis.results.run_lengths import check_counts, encode_map, encode_masks
from omgseg.structures import Task


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
    assert moved != result and moved.replace(name="yard", frame_index=0) == result
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


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (37, 53)])
def test_a_map_is_encoded_as_its_masks_are(size):
    rng = np.random.default_rng(1)
    values = np.kron(rng.integers(0, 4, size), np.ones((3, 2), np.int64)).astype(np.int32)
    encoded = encode_map(values, range(6))
    assert encoded == encode_masks([values == value for value in range(6)])
    for run_lengths in encoded:
        check_counts(run_lengths["counts"], values.shape)


def test_wrong_run_lengths_are_found():
    (right,) = encode_masks([np.random.default_rng(2).random((60, 70)) > 0.7])
    counts = right["counts"]
    for wrong in ("", counts[:-1], counts + "1", "é", "~~~", "o" * 30, counts[:5] + "T" * 20 + counts[5:]):
        with pytest.raises(ValueError, match="run lengths"):
            check_counts(wrong, (60, 70))
    with pytest.raises(ValueError, match="60 x 71"):
        check_counts(counts, (60, 71))
    with pytest.raises(ValueError, match="2 x 2"):  # 5 and -1 pixels are 4 in all
        check_counts("5O", (2, 2))
    (large,) = encode_masks([np.pad(np.ones((1, 1)), ((3000, 0), (4000, 0)))])
    check_counts(large["counts"], tuple(large["size"]))
    assert coco_mask.area(large) == 1
