"""Objects to follow, as users give them."""

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as coco_mask

from omgseg.inference import SegmentationResult
from omgseg.inference.first_masks import MAX_ID, given_objects

MAP = np.array([[0, 3, 3], [8, 8, 0]], np.uint8)
THREE, EIGHT = MAP == 3, MAP == 8


def check(given, ids):
    assert given.ids.tolist() == ids and given.ids.dtype == np.int64
    assert np.array_equal(given.masks, [THREE, EIGHT])


def test_maps_of_object_numbers(tmp_path):
    Image.fromarray(MAP).save(tmp_path / "grey.png")
    palette = Image.fromarray(MAP, mode="P")
    palette.putpalette([0, 0, 0, 255, 0, 0] * 8)
    palette.save(tmp_path / "palette.png")
    for objects in (
        MAP,
        MAP.astype(np.int64),
        torch.from_numpy(MAP),
        tmp_path / "grey.png",
        str(tmp_path / "palette.png"),
    ):
        check(given_objects(objects), [3, 8])


def test_masks(tmp_path):
    Image.fromarray(THREE.astype(np.uint8) * 255).save(tmp_path / "three.png")
    check(given_objects([THREE, EIGHT]), [1, 2])
    check(given_objects(np.stack([THREE, EIGHT])), [1, 2])
    check(given_objects(torch.stack([torch.from_numpy(THREE), torch.from_numpy(EIGHT)])), [1, 2])
    check(given_objects({5: tmp_path / "three.png", 2: EIGHT * 255}), [5, 2])
    one = given_objects(THREE)
    assert one.ids.tolist() == [1] and np.array_equal(one.masks, [THREE])


def test_result_of_the_first_frame():
    rles = [coco_mask.encode(np.asfortranarray(mask.view(np.uint8))) for mask in (THREE, EIGHT)]
    check(
        given_objects(SegmentationResult("interactive", (2, 3), rles, [-1, -1], [1, 1], ids=[4, 9])), [4, 9]
    )


@pytest.mark.parametrize(
    ("objects", "message"),
    [
        (np.zeros((4, 5), np.uint8), "mask is empty"),
        ([], "mask is empty"),
        ([THREE, np.zeros((2, 3))], "mask of object 2 is empty"),
        (
            [THREE, np.ones((3, 3))],
            r"mask of object 2 has the shape \(3, 3\), that of the first one \(2, 3\)",
        ),
        ({0: THREE}, "object 0: ids are integers from 1"),
        ({1.5: THREE}, r"object 1\.5"),
        ({"a": THREE}, "object 'a': ids are integers"),
        ({2**31: THREE}, "object 2147483648: .* up to 2147483647"),
        (np.array([[2**31, 0]]), "object 2147483648"),
        (np.zeros((1, 2, 3, 4)), r"masks must have the shape \(H, W\) or \(N, H, W\)"),
        ([np.ones((2, 3, 3))], r"a mask must have the shape \(H, W\), got \(2, 3, 3\)"),
    ],
)
def test_wrong_objects(objects, message):
    with pytest.raises(ValueError, match=message):
        given_objects(objects)


def test_the_largest_id_is_kept():
    assert given_objects({MAX_ID: THREE}).ids.tolist() == [MAX_ID]


@pytest.mark.parametrize("objects", [None, 3])
def test_no_objects_at_all(objects):
    with pytest.raises(
        TypeError, match=f"the objects of the first frame must be a PNG.*not {type(objects).__name__}"
    ):
        given_objects(objects)
