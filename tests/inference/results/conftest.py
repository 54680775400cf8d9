"""A small vocabulary with ids and colours, and random results of every task."""

import numpy as np
import pytest

from omgseg.inference.results import SegmentationResult, VideoResult
from omgseg.structures import Category, Vocabulary
from omgseg.structures.run_lengths import encode_masks

SIZE = (48, 64)


@pytest.fixture(scope="session")
def words() -> Vocabulary:
    """Labels: cat 0, dog 1, sky 2, road 3; the ids are neither labels nor sorted."""
    return Vocabulary(
        [
            Category("cat", id=17, synonyms=("kitten",), color=(250, 10, 30)),
            Category("sky", False, id=187, color=(1, 2, 3)),
            Category("dog", id=4),
            Category("road", False, id=90),
        ]
    )


@pytest.fixture
def disjoint_masks():
    """bool (4, H, W): four regions that cover most of an image, moved by `shift` pixels."""

    def make(shift: int = 0) -> np.ndarray:
        y, x = np.mgrid[: SIZE[0], : SIZE[1]]
        x = x - shift
        cat = (x - 14) ** 2 + (y - 30) ** 2 < 90
        dog = (x > 30) & (x < 52) & (y > 20) & (y < 41)
        sky = (y < 16) & ~cat
        road = (y > 40) & ~cat & ~dog
        return np.stack([cat, dog, sky, road])

    return make


@pytest.fixture
def panoptic(words, disjoint_masks):
    """A panoptic result of one image."""

    def make(shift: int = 0, **more) -> SegmentationResult:
        arguments = {
            "scores": [0.9, 0.1 + 0.2, 0.75, 1 / 3],
            "labels": [0, 1, 2, 3],
            "ids": [3, 7, 1_000_002, 1_000_003],
            "vocabulary": words,
            "name": "street",
        }
        rles = encode_masks(disjoint_masks(shift))
        return SegmentationResult(**{"task": "panoptic", "size": SIZE, "rles": rles, **arguments, **more})

    return make


@pytest.fixture
def instances(words):
    """Overlapping instances of one image: two cats and a dog."""

    def make(**more) -> SegmentationResult:
        masks = np.zeros((3, *SIZE), bool)
        masks[0, 5:25, 4:40] = masks[1, 15:40, 20:60] = masks[2, 30:47, 2:30] = True
        arguments = {
            "task": "instance",
            "labels": [0, 1, 0],
            "scores": [0.95, 0.6, 0.2],
            "vocabulary": words,
            "name": "yard",
        }
        return SegmentationResult(**{"size": SIZE, "rles": encode_masks(masks), **arguments, **more})

    return make


@pytest.fixture
def film(panoptic) -> VideoResult:
    """Five panoptic frames; the dog is not in the third one."""
    frames = [panoptic(2 * t, frame_index=t, time=t / 7, name=f"{t:05d}") for t in range(5)]
    frames[2] = frames[2].select(frames[2].ids != 7)
    return VideoResult(frames, fps=30000 / 1001, name="film")
