"""Mean IoU of images and videos."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from omgseg.evaluation.functional.semantic import (
    confusion_matrix,
    sparse_counts,
    sum_sparse_counts,
    summarize_confusion,
)
from omgseg.evaluation.metrics.base import SampleMetric, frames_of, percent
from omgseg.evaluation.metrics.semantic_truth import IGNORE, SemanticTruth
from omgseg.registry import METRICS


@METRICS.register_module()
class SemanticMetric(SampleMetric):
    """mIoU; reads ``pred_sem_seg``, labels of the data set's vocabulary.

    Ground truth of each frame: the PNG at ``seg_map_path``, a panoptic PNG where the frame has
    ``segments_info``, otherwise a map of category ids.

    Values: ``mIoU`` (over classes that occur in ground truth or prediction), ``mIoU_gt`` (in ground truth
    only), ``mAcc``, ``aAcc``, ``fwIoU``.

    Args:
        seg_format, seg_prefix, ignore_ids, reduce_zero_label, ignore_unknown: how ground truth is read, where
            the above does not fit; see :class:`SemanticTruth`.
        prefix, kwargs: see mmengine's BaseMetric.

    Raises:
        ValueError: the arguments contradict each other.
    """

    default_prefix = "semantic"
    NUM_WORKERS = 2

    def __init__(
        self,
        seg_format: str | None = None,
        seg_prefix: str | None = None,
        ignore_ids: Sequence[int] = (255,),
        reduce_zero_label: bool = False,
        ignore_unknown: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.truth = SemanticTruth(seg_format, seg_prefix, ignore_ids, reduce_zero_label, ignore_unknown)

    def reduce(self, sample: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        """The confusion matrix, without its zeros."""
        num_classes = len(self.vocabulary)
        confusion = np.zeros((num_classes, num_classes), dtype=np.int64)
        for frame in frames_of(sample):
            path = self.truth.path(self.field(frame, self.truth.path_field))
            confusion += confusion_matrix(
                self.truth.labels(path, self.vocabulary, frame.get("segments_info")),
                self.label_map(frame, "pred_sem_seg"),
                num_classes,
                ignore_index=IGNORE,
                where=path,
            )
        return sparse_counts(confusion)

    def summarize(self, results: dict[Any, tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
        num_classes = len(self.vocabulary)
        summary = summarize_confusion(sum_sparse_counts(results.values(), (num_classes, num_classes)))
        return percent({name: summary[name] for name in ("mIoU", "mIoU_gt", "mAcc", "aAcc", "fwIoU")})
