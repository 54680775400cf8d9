"""The fast ways with masks equal the plain ones."""

import cv2
import numpy as np
import pytest

from omgseg.evaluation.functional.vos import dilate_disk


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
