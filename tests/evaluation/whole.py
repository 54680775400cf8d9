"""Whole folders, videos and sequences at once: what the metrics do sample by sample and frame by frame."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from omgseg.evaluation.functional.panoptic import (
    PanopticAnnotations,
    PanopticStat,
    class_lookup,
    compare_image,
)
from omgseg.evaluation.functional.video_panoptic import WINDOWS, VideoOverlap
from omgseg.evaluation.functional.vos import count_objects, frame_scores


def evaluate_files(ground_truth: PanopticAnnotations, predicted: PanopticAnnotations) -> PanopticStat:
    """Counts over all images of the ground truth, classes in the order of its ``categories``.

    Raises:
        ValueError: an image has no prediction; see also :func:`compare_image`.
    """
    class_of = class_lookup(ground_truth.categories)
    total = PanopticStat.zeros(len(class_of))
    for image_id in sorted(ground_truth.by_image):
        total += compare_image(
            ground_truth.load(image_id),
            predicted.load(image_id),
            class_of,
            ground_truth.name_of(image_id),
        )
    return total


def video_stats(
    gt_class: np.ndarray,
    gt_instance: np.ndarray,
    pred_class: np.ndarray,
    pred_instance: np.ndarray,
    num_classes: int,
    windows: Sequence[int] = WINDOWS,
    void: int = 255,
) -> dict[int, PanopticStat]:
    """Counts of one whole video: maps are integers (T, H, W); see :class:`VideoOverlap`."""
    overlap = VideoOverlap(num_classes, void)
    for frame in zip(gt_class, gt_instance, pred_class, pred_instance, strict=True):
        overlap.add_frame(*frame)
    return overlap.stats(windows)


def sequence_scores(ground_truth: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """J and F of each object in all frames of a sequence but the first and the last, float64 (num_objects, T - 2).

    Args:
        ground_truth, predicted: object ids (T, H, W), T >= 3.
    """
    num_objects = count_objects(ground_truth[0])
    frames = zip(ground_truth[1:-1], predicted[1:-1], strict=True)
    j, f = zip(*(frame_scores(gt, pred, num_objects) for gt, pred in frames), strict=True)
    return np.stack(j, axis=1), np.stack(f, axis=1)
