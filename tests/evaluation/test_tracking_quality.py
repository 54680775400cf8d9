"""STQ's rules, one at a time, on maps of a few pixels: classes 0 and 1 are things, 2 is stuff, 3 is void."""

import numpy as np
import pytest

from omgseg.evaluation.functional.video_panoptic import VideoOverlap, stq_stat, summarize_stq

THINGS, VOID = np.array([True, True, False]), 3


def score(truth, predicted, renumber=False, class_ids=None):
    """Each argument: frames of (class, instance) pixels."""
    overlap = VideoOverlap(3, void=VOID)
    for true, guess in zip(truth, predicted, strict=True):
        maps = [np.array(part)[None] for part in (*zip(*true, strict=True), *zip(*guess, strict=True))]
        overlap.add_frame(*maps)
    return summarize_stq([stq_stat(overlap, THINGS, renumber, class_ids)], 3)


A, B, SKY, NOTHING, CROWD = (0, 1), (1, 1), (2, 0), (VOID, 0), (0, 0)


def test_association_ignores_the_class():
    values = score([[A, A, SKY, SKY]], [[B, B, SKY, SKY]])
    assert values["AQ"] == 1
    assert values["IoU"] == pytest.approx((0 + 0 + 1) / 3), "both classes occur, neither is met"


def test_a_tube_in_two_parts():
    values = score([[A, A], [A, A]], [[A, A], [(0, 2), (0, 2)]])
    assert values["AQ"] == pytest.approx(2 * (2 * 2 / 4) / 4)
    assert values["STQ"] == pytest.approx(np.sqrt(values["AQ"] * 1))


@pytest.mark.parametrize(("outside", "area"), [(SKY, 4), (NOTHING, 4), (CROWD, 2)])
def test_only_crowd_is_cut_from_predictions(outside, area):
    values = score([[A, A, outside, outside]], [[A, A, A, A]])
    assert values["AQ"] == pytest.approx(2 * (2 / area) / 2)


def test_predicted_void_is_one_more_class():
    assert score([[A, SKY]], [[A, NOTHING]])["IoU"] == pytest.approx((1 + 0 + 0) / 3)
    assert score([[A, NOTHING]], [[A, NOTHING]])["IoU"] == 1, "on unlabelled pixels it is none"


def test_first_tube_of_a_video_is_left_out_if_it_is_a_thing():
    truth = [[B, B, A], [B, A, SKY]]
    half = [[SKY, SKY, A], [SKY, A, SKY]]  # A is met, B is missed
    assert score(truth, half)["AQ"] == pytest.approx(0.5)
    assert score(truth, half, renumber=True)["AQ"] == 0, "A is listed first"
    assert score(truth, half, renumber=True, class_ids=[9, 7, 8])["AQ"] == 1, "now B is"
    assert score(truth[::-1], half[::-1], renumber=True)["AQ"] == pytest.approx(0.5), "now stuff is"
    void_first = [[NOTHING] * 3, *truth]
    assert score(void_first, [[SKY] * 3, *half], renumber=True)["AQ"] == 0, "void is no tube"


@pytest.mark.parametrize(
    ("frame", "first"),
    [
        ([(1, 1), (0, 2)], 1),  # by class, then by number
        ([(0, 2), (0, 1)], 1),
        ([(0, 1), (1, 0)], 1),  # those without a number before those with
        ([(1, 0), (0, 0)], 1),
    ],
)
def test_order_within_the_first_frame(frame, first):
    for met in (0, 1):
        predicted = [tube if i == met else SKY for i, tube in enumerate(frame)]
        assert score([frame], [predicted], renumber=True)["AQ"] == (met != first)


def test_numbers_of_instances_mean_nothing_after_renumbering():
    truth, predicted = [[SKY] * 3, [SKY, CROWD, A]], [[SKY] * 3, [SKY, SKY, A]]
    assert score(truth, predicted)["AQ"] == 1
    assert score(truth, predicted, renumber=True)["AQ"] == pytest.approx(0.5), "no crowd: one more tube"


def test_nothing_to_score():
    assert score([[SKY]], [[SKY]]) == {"STQ": 0, "AQ": 0, "IoU": 1}
    assert np.isnan(score([[NOTHING]], [[SKY]])["IoU"])
    assert np.isnan(summarize_stq([stq_stat(VideoOverlap(3, VOID), THINGS)], 3)["STQ"])
