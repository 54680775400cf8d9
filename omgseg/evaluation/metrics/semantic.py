"""Mean IoU of images and videos."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from omgseg.evaluation.functional.label_map import index_of
from omgseg.evaluation.functional.semantic import confusion_matrix, summarize_confusion
from omgseg.evaluation.metrics.base import SampleMetric, frames_of, percent
from omgseg.registry import METRICS
from omgseg.structures.panoptic_png import decode_panoptic_png
from omgseg.structures.png import read_index_png

_IGNORE = -1


@METRICS.register_module()
class SemanticMetric(SampleMetric):
    """mIoU; reads ``pred_sem_seg``, labels of the data set's vocabulary.

    Ground truth of each frame: the PNG at ``seg_map_path``, a panoptic PNG where the frame has
    ``segments_info``, otherwise a map of category ids.

    Values: ``mIoU`` (over classes that occur in ground truth or prediction), ``mIoU_gt`` (in ground truth
    only), ``mAcc``, ``aAcc``, ``fwIoU``.

    Args:
        ignore_ids: values in maps of category ids that mean "not labelled".
        prefix, kwargs: see mmengine's BaseMetric.
    """

    default_prefix = "semantic"

    def __init__(self, ignore_ids: Sequence[int] = (255,), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ignore_ids = tuple(ignore_ids)

    def reduce(self, sample: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        """Positions and values of the confusion matrix that are not zero."""
        num_classes = len(self.vocabulary)
        confusion = np.zeros((num_classes, num_classes), dtype=np.int64)
        for frame in frames_of(sample):
            confusion += confusion_matrix(
                self._ground_truth(frame),
                self.label_map(frame, "pred_sem_seg"),
                num_classes,
                ignore_index=_IGNORE,
                where=str(frame["seg_map_path"]),
            )
        positions = np.flatnonzero(confusion)
        return positions, confusion.flat[positions]

    def _ground_truth(self, frame: dict[str, Any]) -> np.ndarray:
        """Labels (H, W), -1 where not labelled."""
        path = self.field(frame, "seg_map_path")
        label_of = self.vocabulary.id_to_label
        if frame.get("segments_info") is not None:
            ids, ignored = decode_panoptic_png(path), (0,)
            category_of = {s["id"]: s["category_id"] for s in frame["segments_info"]}
        else:
            ids, ignored = read_index_png(path), self.ignore_ids
            category_of = {i: i for i in label_of}
        unknown = set(category_of.values()) - label_of.keys()
        if unknown:
            raise ValueError(
                f"{path}: segments_info holds category_id {min(unknown)}, not in the data set's vocabulary"
            )
        known = [*category_of, *(i for i in ignored if i not in category_of)]
        labels = [label_of[c] for c in category_of.values()] + [_IGNORE] * (len(known) - len(category_of))
        index = index_of(ids, np.array(known))
        if (index < 0).any():
            raise ValueError(
                f"{path}: the value {ids[index < 0].flat[0]} is neither "
                + ("in segments_info" if "segments_info" in frame else "a category id of the vocabulary")
                + f" nor ignored {ignored}; PNG and annotations are of different versions"
            )
        return np.array(labels, dtype=np.int64)[index]

    def summarize(self, results: dict[Any, tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
        num_classes = len(self.vocabulary)
        total = np.zeros(num_classes**2, dtype=np.int64)
        for positions, values in results.values():
            total[positions] += values
        summary = summarize_confusion(total.reshape(num_classes, num_classes))
        return percent({name: summary[name] for name in ("mIoU", "mIoU_gt", "mAcc", "aAcc", "fwIoU")})
