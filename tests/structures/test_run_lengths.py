"""Run lengths: encoding equals that of pycocotools, and wrong ones are found."""

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from omgseg.structures.run_lengths import as_text, check_counts, encode_map, encode_masks, mask_areas


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
