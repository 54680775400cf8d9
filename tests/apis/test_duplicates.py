"""Of several answers for one object one is kept: in an image the surest, in a video always the same one."""

import numpy as np
import pytest

from omgseg.apis import SegmentationResult
from omgseg.apis.duplicates import without_duplicates
from omgseg.structures import Vocabulary
from omgseg.structures.run_lengths import encode_masks

WORDS = Vocabulary.from_names(["cat", "dog"])
SIZE = (20, 40)


def frame(**objects) -> SegmentationResult:
    """``frame(c1=(0, 20))``: cat number 1 in the columns 0 to 20; d: dogs."""
    masks = np.zeros((len(objects), *SIZE), bool)
    for mask, (first, last) in zip(masks, objects.values(), strict=True):
        mask[:, first:last] = True
    labels = ["cd".index(name[0]) for name in objects]
    ids = [int(name[1:]) for name in objects]
    return SegmentationResult(
        "instance", SIZE, encode_masks(masks), labels, np.full(len(ids), 0.5), ids, WORDS
    )


def kept(frames, max_overlap: float = 0.7) -> list[list[int]]:
    return [each.ids.tolist() for each in without_duplicates(frames, max_overlap)]


def test_of_an_image_the_first_of_a_class_is_kept():
    image = frame(c1=(0, 20), d2=(0, 20), c3=(1, 20), c4=(4, 20), c5=(30, 40))
    assert kept([image]) == [[1, 2, 5]]
    assert kept([image], max_overlap=0.85) == [[1, 2, 4, 5]]
    assert kept([image], max_overlap=1) == [[1, 2, 3, 4, 5]]
    assert without_duplicates([image], 0.7)[0] == image.select([0, 1, 4])


def test_one_that_is_left_out_hides_no_other():
    assert kept([frame(c1=(0, 20), c2=(4, 24), c3=(8, 28))], max_overlap=0.6) == [[1, 3]]


@pytest.mark.parametrize("order", [(2, 7), (7, 2)])
def test_of_a_video_the_older_number_is_kept_in_every_frame(order):
    def shown(**places) -> SegmentationResult:
        return frame(**{f"c{number}": places[f"c{number}"] for number in order if f"c{number}" in places})

    clip = [shown(c2=(0, 20), c7=(1, 20)), shown(c7=(2, 20)), shown(c2=(4, 24), c7=(4, 24)), shown()]
    assert kept(clip[::2]) == [[2], [2]]
    assert kept(clip) == [[*order], [7], [*order], []], "one of them is there without the other"


def test_tracks_that_meet_in_one_frame_are_two_objects():
    clip = [frame(c1=(0, 10), c2=(30, 40)), frame(c1=(10, 20), c2=(10, 20)), frame(c1=(20, 30), c2=(0, 10))]
    assert kept(clip) == [[1, 2]] * 3
