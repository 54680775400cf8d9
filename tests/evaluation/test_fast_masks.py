"""The fast ways with masks equal the plain ones."""

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from omgseg.evaluation.functional.davis import dilate_disk
from omgseg.evaluation.metrics.base import encode_masks


@pytest.mark.parametrize("radius", [1, 2, 5, 8, 13])
@pytest.mark.parametrize("size", [(1, 1), (3, 40), (40, 3), (30, 37)])
def test_dilation_by_rows_equals_that_by_the_disk(radius, size):
    rng = np.random.default_rng(radius)
    offsets = np.arange(-radius, radius + 1)
    disk = (offsets[:, None] ** 2 + offsets[None] ** 2 <= radius**2).astype(np.uint8)
    for density in (0.0, 0.01, 0.1, 1.0):
        mask = (rng.random(size) < density).astype(np.uint8)
        expected = cv2.dilate(mask, disk, borderType=cv2.BORDER_CONSTANT, borderValue=0)
        np.testing.assert_array_equal(dilate_disk(mask, radius), expected)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64])
def test_encoded_masks_equal_the_encoder_s_own(dtype):
    masks = (np.random.default_rng(0).random((3, 9, 14)) > 0.5).astype(dtype)
    for view in (masks, masks.transpose(0, 2, 1), masks[:, ::2, 1:]):
        expected = [coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8)) for mask in view]
        assert encode_masks(view) == expected
    assert encode_masks(masks[:0]) == []
