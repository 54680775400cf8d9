"""The rules of matching, one at a time, on maps small enough to count by hand."""

import math

import numpy as np
import pytest

from omgseg.evaluation.functional.inputs import index_of, overlap_table, unique_index
from omgseg.evaluation.functional.panoptic import PanopticStat, compare_image
from omgseg.evaluation.functional.semantic import summarize_confusion
from omgseg.evaluation.functional.video_panoptic import VideoOverlap, summarize_vpq

CLASS_OF = {1: 0, 2: 1}


def compare(truth, predicted, crowd=(), gt_classes=(1, 1), pred_classes=(1, 1)):
    """Rows of segment numbers (0 void); segment k has category classes[k - 1]."""
    truth, predicted = np.array([truth]), np.array([predicted])

    def info(ids, classes):
        return [
            {"id": k, "category_id": c, "area": int((ids == k).sum()), "iscrowd": int(k in crowd)}
            for k, c in enumerate(classes, start=1)
            if (ids == k).any()
        ]

    stat = compare_image(
        (truth, info(truth, gt_classes)), (predicted, info(predicted, pred_classes)), CLASS_OF
    )
    return stat.iou.tolist(), stat.tp.tolist(), stat.fp.tolist(), stat.fn.tolist()


def test_half_overlap_is_no_match():
    assert compare([1, 1, 1, 0], [1, 1, 0, 0])[0] == [2 / 3, 0]
    assert compare([1, 1, 2, 2], [1, 2, 2, 2]) == ([2 / 3, 0], [1, 0], [1, 0], [1, 0])


def test_void_of_the_truth_leaves_the_union():
    assert compare([1, 0, 0, 0], [1, 1, 1, 1])[:2] == ([1, 0], [1, 0])


def test_prediction_mostly_on_void_is_dropped():
    assert compare([1, 1, 0, 0, 0], [0, 1, 1, 1, 0])[2:] == ([0, 0], [1, 0])
    assert compare([1, 1, 0, 0], [0, 1, 1, 0])[2] == [1, 0], "half is not most"


def test_crowd_absorbs_its_own_class_only_and_is_never_missed():
    assert compare([1, 1, 1, 1], [1, 1, 2, 2], crowd=[1]) == ([0, 0], [0, 0], [0, 0], [0, 0])
    assert compare([1, 1, 1, 1], [1, 1, 2, 2], crowd=[1], pred_classes=(1, 2))[2] == [0, 1]


def test_class_must_agree():
    assert compare([1, 1], [1, 1], pred_classes=(2, 2)) == ([0, 0], [0, 0], [0, 1], [1, 0])


def test_averages_skip_absent_classes():
    stat = PanopticStat(np.array([1.5, 0, 0]), np.array([2, 0, 0]), np.array([0, 1, 0]), np.array([0, 0, 0]))
    assert stat.mean() == {"pq": 0.375, "sq": 0.375, "rq": 0.5, "n": 2}
    nothing = stat.mean(np.array([False, False, True]))
    assert nothing["n"] == 0 and math.isnan(nothing["pq"])
    assert (stat + stat).tp.tolist() == [4, 0, 0]


def test_videos_without_frames_or_windows_are_defined():
    stats = VideoOverlap(2).stats((1, 2))
    assert not any(s.occurs().any() for s in stats.values())
    assert math.isnan(summarize_vpq(stats, np.array([True, False]))["VPQ"])


def test_tubes_outside_a_window_are_neither_missed_nor_wrong():
    overlap = VideoOverlap(2)
    for row in ([0, 0, 255], [1, 1, 1]):
        labels = np.array([row])
        overlap.add_frame(labels, labels * 0, labels, labels * 0)
    stat = overlap.stats((1,))[1]
    assert stat.tp.tolist() == [1, 1] and not stat.fp.any() and not stat.fn.any()


def test_empty_confusion_is_undefined():
    summary = summarize_confusion(np.zeros((2, 2), int))
    assert all(math.isnan(summary[k]) for k in ("mIoU", "mIoU_gt", "mAcc", "aAcc", "fwIoU"))


def test_indices_equal_numpy():
    values = np.random.default_rng(0).integers(0, 2**24, (20, 30)) // 2**20 * 2**20
    unique, index = unique_index(values)
    expected_unique, expected_index = np.unique(values, return_inverse=True)
    np.testing.assert_array_equal(unique, expected_unique)
    np.testing.assert_array_equal(index, expected_index.reshape(values.shape))
    assert index_of(np.array([5, 0, 9]), np.array([9, 5, 2**24])).tolist() == [1, -1, 0]
    assert overlap_table(np.array([0, 1, 1]), np.array([2, 0, 0]), 2, 3).tolist() == [[0, 0, 1], [2, 0, 0]]
    assert unique_index(np.zeros((0, 4), int))[0].size == 0
    with pytest.raises(ValueError, match="segment ids must lie"):
        unique_index(np.array([-1]))
