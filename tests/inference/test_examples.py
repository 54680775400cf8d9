"""What an example shows, in other images and videos."""

import numpy as np
import pytest
import torch
from PIL import Image

from omgseg.inference import OMGSegInferencer, UnsupportedRequest
from omgseg.inference.first_masks import given_example
from omgseg.structures import Vocabulary
from tests.fakes import ExampleFake, FakeSegmenter, moving_square, picture

IMAGE = picture(40, 50, ("red", 5, 5, 20, 20), ("blue", 25, 25, 35, 45))
MASK = np.zeros((40, 50), np.uint8)
MASK[5:20, 5:20], MASK[25:35, 25:45] = 9, 4
SCENE = picture(60, 80, ("red", 10, 10, 30, 40), ("blue", 20, 50, 50, 70), ("green", 40, 0, 60, 30))


@pytest.fixture
def seg():
    return OMGSegInferencer(ExampleFake())


def test_each_value_of_the_mask_is_a_class(seg):
    result = seg(SCENE, example=(IMAGE, MASK))
    assert result.task == "semantic" and result.names == ["region 4", "region 9"]
    assert (result.masks[0] == (SCENE[..., 2] == 230)).all() and (
        result.masks[1] == (SCENE[..., 0] == 230)
    ).all()


def test_words_name_the_classes_by_rising_value(seg):
    assert seg(SCENE, example=(IMAGE, MASK), vocabulary=["sea", "fire"]).names == ["sea", "fire"]
    named = OMGSegInferencer(ExampleFake(), vocabulary=["sea", "fire"])
    assert named(SCENE, example=(IMAGE, MASK)).names == ["sea", "fire"]


def test_forms_of_an_example(seg, tmp_path):
    Image.fromarray(IMAGE).save(tmp_path / "image.png")
    palette = Image.fromarray(MASK, mode="P")
    palette.putpalette([0, 0, 0, 255, 0, 0] * 8)
    palette.save(tmp_path / "mask.png")
    expected = seg(SCENE, example=(IMAGE, MASK))
    for example in (
        (str(tmp_path / "image.png"), tmp_path / "mask.png"),
        [Image.fromarray(IMAGE), MASK.astype(np.int64)],
        (IMAGE, torch.from_numpy(MASK)),
    ):
        assert seg(SCENE, example=example) == expected
    assert seg(SCENE, example=(IMAGE, MASK == 9)).names == ["region 1"]


def test_one_example_for_many_images_and_for_videos(seg):
    results = seg([SCENE, IMAGE, IMAGE], example=(IMAGE, MASK), batch_size=2)
    assert [result.names for result in results] == [["region 4", "region 9"]] * 3
    frames = list(seg.stream(np.stack(moving_square(3)), example=(IMAGE, MASK)))
    assert [frame.ids.tolist() for frame in frames] == [[1, 2]] * 3


@pytest.mark.parametrize(
    ("example", "message"),
    [
        (None, r"segments what an example shows: give example=\(image, mask\), or --example"),
        ((IMAGE, MASK[:30]), r"mask has the shape \(30, 50\), its image \(40, 50\)"),
        ((IMAGE, IMAGE), r"mask has the shape \(40, 50, 3\).*one number per pixel"),
        ((IMAGE, np.zeros_like(MASK)), "mask is empty: mark what to segment"),
        ((IMAGE, MASK.astype(int) - 1), "mask holds -1; 0 is background"),
        ((IMAGE[..., :2], MASK), r"expected an RGB image uint8 \(H, W, 3\)"),
    ],
)
def test_mistakes_in_an_example(seg, example, message):
    with pytest.raises(ValueError, match=message):
        seg(SCENE, example=example)


def test_an_example_is_a_pair(seg):
    with pytest.raises(TypeError, match=r"an example is a pair \(image, mask\), not 'image.png'"):
        seg(SCENE, example="image.png")


def test_files_that_cannot_be_read(seg, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no image")
    Image.fromarray(IMAGE).save(tmp_path / "colours.png")
    for example, error, message in (
        ((tmp_path / "none.png", MASK), FileNotFoundError, "none.png not found"),
        ((IMAGE, tmp_path / "none.png"), FileNotFoundError, "none.png not found"),
        ((IMAGE, tmp_path / "broken.png"), OSError, "broken.png is truncated or not an image"),
        ((IMAGE, tmp_path / "colours.png"), ValueError, "colours.png: expected one channel"),
    ):
        with pytest.raises(error, match=message):
            seg(SCENE, example=example)


def test_as_many_words_as_classes():
    with pytest.raises(
        ValueError, match=r"has 1 words, the example's mask 2 classes \(4, 9\); give one word for each"
    ):
        given_example(ExampleFake(), (IMAGE, MASK), ["sea"])
    example, words = given_example(ExampleFake(), (IMAGE, MASK), Vocabulary.from_names(["sea", "fire"]))
    assert words.names == ["sea", "fire"]
    assert (example.labels == np.where(MASK == 9, 1, np.where(MASK == 4, 0, -1))).all()


@pytest.mark.parametrize("task", ["panoptic", "everything", "semantic"])
def test_a_model_without_the_ability(task):
    with pytest.raises(
        UnsupportedRequest, match="does not offer segmentation by an example; it offers the tasks"
    ):
        OMGSegInferencer(FakeSegmenter())(SCENE, task, example=(IMAGE, MASK))
    with pytest.raises(
        UnsupportedRequest, match="it offers the tasks semantic, segmentation by an example image and"
    ):
        OMGSegInferencer(ExampleFake())(SCENE, "instance", example=(IMAGE, MASK))
