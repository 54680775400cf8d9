"""Run lengths: encoding equals that of pycocotools, and wrong ones are found."""

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from omgseg.structures.run_lengths import (
    as_text,
    check_counts,
    check_segmentation,
    encode_map,
    encode_masks,
    encode_segmentation,
    mask_areas,
)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64])
def test_encoded_masks_equal_the_encoder_s_own(dtype):
    masks = (np.random.default_rng(0).random((3, 9, 14)) > 0.5).astype(dtype)
    for view in (masks, masks.transpose(0, 2, 1), masks[:, ::2, 1:]):
        expected = [as_text(coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))) for mask in view]
        assert encode_masks(view) == expected
    assert encode_masks(masks[:0]) == []


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


def test_areas_of_many_masks():
    masks = np.arange(300)[:, None, None] > np.arange(400).reshape(1, 20, 20)
    assert mask_areas(encode_masks(masks)).tolist() == list(range(300))


FAR = 1e8
INFINITE = float("inf")
SIZE = [40, 60]

BROKEN = {
    "far point": [[0, 0, FAR, 0, 0, 9]],
    "infinite point": [[0, 0, INFINITE, 0, 0, 9]],
    "no number": [[0, 0, float("nan"), 0, 0, 9]],
    "all points far away": [[FAR, FAR, FAR + 5, FAR, FAR, FAR + 5]],
    "endless outline": [[0, 0, 9000, 9000] * 1000],
    "nested polygon": [[[0, 0], [5, 0], [0, 5]]],
    "half a point": [[0, 0, 9, 0, 0, 9, 5]],
    "text": "polygon",
    "number": 7,
    "counts too short": {"size": SIZE, "counts": [100, 20]},
    "negative count": {"size": SIZE, "counts": [-100, 2500]},
    "endless count": {"size": SIZE, "counts": [0, 2**40]},
    "huge mask": {"size": [10**6, 10**6], "counts": [10**12]},
    "fractional size": {"size": [40.5, 60], "counts": [2430]},
    "compressed counts of another size": {"size": SIZE, "counts": "0T1"},
    "counts that are no text": {"size": SIZE, "counts": 5},
}
"""A segmentation fault, gigabytes of RAM, or garbage, if pycocotools drew it."""


@pytest.mark.parametrize("segmentation", BROKEN.values(), ids=BROKEN)
def test_what_cannot_be_drawn_is_refused(segmentation):
    for function in (check_segmentation, encode_segmentation):
        with pytest.raises(ValueError, match=r"a\.json, annotation 3: 'segmentation' is neither polygons"):
            function(segmentation, *SIZE, where="a.json, annotation 3")


def test_polygons_and_run_lengths_are_encoded_alike():
    square = np.zeros(SIZE, bool)
    square[10:20, 30:40] = True
    (compressed,) = encode_masks([square])
    uncompressed = {"size": SIZE, "counts": [1210, *[10, 30] * 9, 10, 820]}
    for segmentation in ([[30, 10, 40, 10, 40, 20, 30, 20]], uncompressed, compressed):
        assert as_text(encode_segmentation(segmentation, *SIZE, where="")) == compressed
    for nothing in ([], [[]], [[0, 0, 5, 5]]):
        assert mask_areas([encode_segmentation(nothing, *SIZE, where="")]) == [0]
