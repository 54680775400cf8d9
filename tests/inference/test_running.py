"""How calls run: in turns, in batches, without duplicates, and with errors of single inputs."""

import gc
import random
import threading
import weakref

import numpy as np
import pytest

from omgseg.inference import SegmentationResult, UnreadableInputs, locked
from omgseg.inference.running import WINDOW, Failures, check_share, run_in_batches, without_duplicates
from omgseg.structures import Vocabulary
from omgseg.structures.run_lengths import encode_masks

WORDS = Vocabulary.from_names(["cat", "dog"])
SIZE = (20, 40)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_order_and_keys(batch_size):
    rng = random.Random(0)
    items = [(number, rng.choice("abc")) for number in range(50)]
    batches = []

    def run(batch):
        batches.append([key for _, key in batch])
        return [number * 10 for number, _ in batch]

    assert list(run_in_batches(items, lambda item: item[1], run, batch_size)) == [n * 10 for n in range(50)]
    assert all(len(set(batch)) == 1 and len(batch) <= batch_size for batch in batches)
    assert batch_size == 1 or len(batches) < 25


def test_what_waits_is_bounded():
    """One rare key does not hold back the results of all others."""
    taken = []

    def items():
        for number in range(100):
            taken.append(number)
            yield number

    found = run_in_batches(items(), lambda number: number == 0, lambda batch: batch, 4)
    assert next(found) == 0
    assert len(taken) <= 4 * WINDOW + 2
    assert list(found) == list(range(1, 100))


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
    return [result.ids.tolist() for result in without_duplicates(frames, max_overlap)]


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


class Model:
    """Anything can be locked."""

    __hash__ = None

    def __eq__(self, other):
        return True


def test_one_thread_at_a_time_per_model():
    model, other = Model(), Model()
    inside, order = threading.Event(), []

    def wait_for_it():
        inside.set()
        with locked(model):
            order.append("second")

    thread = threading.Thread(target=wait_for_it)
    with locked(model), locked(model):  # nested
        thread.start()
        inside.wait(5)
        with locked(other):
            thread.join(0.05)
        order.append("first")
    thread.join(5)
    assert order == ["first", "second"]


def test_a_lock_does_not_keep_its_model():
    model = Model()
    alive = weakref.ref(model)
    with locked(model):
        pass
    del model
    gc.collect()
    assert alive() is None


def test_errors_of_single_inputs_are_collected():
    failures = Failures("raise")
    for number, (entry, error) in enumerate(
        [("a.png", OSError("gone")), (np.zeros(1), ValueError("too deep"))]
    ):
        with failures.collect(entry, number):
            raise error
    with pytest.raises(UnreadableInputs, match=r"^2 inputs could not be read or segmented") as caught:
        failures.raise_or_warn(["others"])
    assert [name for name, _ in caught.value.failures] == ["a.png", "input 1"]
    assert caught.value.results == ["others"]
    with pytest.raises(KeyError), Failures("skip").collect("a.png", 0):
        raise KeyError("a mistake in the program")
    Failures("raise").raise_or_warn()
    with pytest.raises(ValueError, match="on_error must be 'raise' or 'skip', not 'ignore'"):
        Failures("ignore")


def test_limits_are_shares():
    assert [check_share("min_score", value) for value in (0, 1, np.float32(0.5))] == [0, 1, 0.5]
    for value in (2, -0.1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="min_score must be a number from 0 to 1, not"):
            check_share("min_score", value)
    for value in ("0.5", None, True, [0.5]):
        with pytest.raises(TypeError, match="max_overlap must be a number from 0 to 1, not"):
            check_share("max_overlap", value)
