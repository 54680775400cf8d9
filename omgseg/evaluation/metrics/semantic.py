"""Mean IoU of images and videos, and the consistency of videos, against the files in which data sets store labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from omgseg.evaluation.functional.inputs import index_of
from omgseg.evaluation.functional.semantic import (
    CLIP_LENGTHS,
    VideoConsistency,
    confusion_matrix,
    sparse_counts,
    sum_sparse_counts,
    summarize_confusion,
    summarize_consistency,
    summarize_videos,
    summarize_zero_shot,
)
from omgseg.evaluation.metrics.base import SampleMetric, frames_of, percent
from omgseg.registry import METRICS
from omgseg.structures import Vocabulary
from omgseg.structures.label_png import (
    VOID_CLASS,
    decode_panoptic_png,
    read_index_png,
    read_vipseg_panomask,
    read_vspw_mask,
)

IGNORE = -1

# Files whose void is a fixed number, read as maps of category ids.
_CLASS_READERS = {"vipseg": lambda path: read_vipseg_panomask(path)[0], "vspw": read_vspw_mask}


class SemanticTruth:
    """Reads the map of a frame and turns what it stores into labels of a vocabulary.

    Without arguments: a panoptic PNG where the frame has ``segments_info``, otherwise a map of category ids;
    both at the frame's ``seg_map_path``.

    Args:
        seg_format: ``vipseg`` or ``vspw`` for the masks of these data sets.
        seg_prefix: folder of maps of category ids, named as the images: ``<stem of img_path>.png``.
        ignore_ids: values in maps of category ids that mean "not labelled".
        reduce_zero_label: maps of category ids hold 1 + the id, and 0 means "not labelled" (mmseg's word).
        ignore_unknown: category ids that are not in the vocabulary mean "not labelled"; otherwise they are an
            error.

    Raises:
        ValueError: the arguments contradict each other.
    """

    def __init__(
        self,
        seg_format: str | None = None,
        seg_prefix: str | None = None,
        ignore_ids: Sequence[int] = (255,),
        reduce_zero_label: bool = False,
        ignore_unknown: bool = False,
    ) -> None:
        if seg_format is not None and seg_format not in _CLASS_READERS:
            raise ValueError(
                f"seg_format={seg_format!r} is not one of {sorted(_CLASS_READERS)}; leave it out for panoptic "
                "PNGs and maps of category ids"
            )
        if seg_format is not None and (seg_prefix is not None or reduce_zero_label):
            raise ValueError(
                f"seg_format={seg_format!r} fixes how files are read; seg_prefix and reduce_zero_label are for "
                "maps of category ids"
            )
        self.seg_format, self.seg_prefix = seg_format, seg_prefix
        self.ignore_ids = tuple(ignore_ids)
        self.reduce_zero_label, self.ignore_unknown = reduce_zero_label, ignore_unknown

    @property
    def path_field(self) -> str:
        """The frame's field that says where the map is."""
        return "seg_map_path" if self.seg_prefix is None else "img_path"

    def path(self, path: str) -> str:
        """The map's path, from the frame's :attr:`path_field`."""
        return str(path) if self.seg_prefix is None else str(Path(self.seg_prefix, f"{Path(path).stem}.png"))

    def labels(
        self, path: str, vocabulary: Vocabulary, segments_info: Sequence[dict[str, Any]] | None = None
    ) -> np.ndarray:
        """Labels int64 (H, W) of the map at `path`, IGNORE where not labelled.

        Raises:
            FileNotFoundError, OSError: the file is missing or truncated.
            ValueError: it holds something that is neither in the vocabulary nor ignored.
        """
        values, category_of, ignored = self._read(path, vocabulary, segments_info)
        label_of = vocabulary.id_to_label
        unknown = set(category_of.values()) - label_of.keys()
        if unknown and not self.ignore_unknown:
            raise ValueError(
                f"{path}: segments_info holds category_id {min(unknown)}, not in the data set's vocabulary"
            )
        known = [*category_of, *(i for i in ignored if i not in category_of)]
        labels = [label_of.get(c, IGNORE) for c in category_of.values()]
        labels += [IGNORE] * (len(known) - len(labels) + 1)  # the last one is for values that are not known
        index = index_of(values, np.array(known))
        panoptic = self._is_panoptic(segments_info)
        if (panoptic or not self.ignore_unknown) and (index < 0).any():
            raise ValueError(
                f"{path}: the value {values[index < 0].flat[0]} is neither "
                + ("in segments_info" if panoptic else "a category id of the vocabulary")
                + f" nor ignored {ignored}; PNG and annotations are of different versions"
            )
        return np.array(labels, dtype=np.int64)[index]

    def _is_panoptic(self, segments_info: Sequence[dict[str, Any]] | None) -> bool:
        return segments_info is not None and self.seg_format is None and self.seg_prefix is None

    def _read(
        self, path: str, vocabulary: Vocabulary, segments_info: Sequence[dict[str, Any]] | None
    ) -> tuple[np.ndarray, dict[int, int], tuple[int, ...]]:
        """The stored values (H, W), the category id of each, and the values that mean "not labelled"."""
        if self._is_panoptic(segments_info):
            return decode_panoptic_png(path), {s["id"]: s["category_id"] for s in segments_info}, (0,)
        if self.seg_format is not None:
            return (
                _CLASS_READERS[self.seg_format](path),
                {i: i for i in vocabulary.id_to_label},
                (VOID_CLASS,),
            )
        if self.reduce_zero_label:
            return read_index_png(path), {i + 1: i for i in vocabulary.id_to_label}, (0, *self.ignore_ids)
        return read_index_png(path), {i: i for i in vocabulary.id_to_label}, self.ignore_ids


@METRICS.register_module()
class SemanticMetric(SampleMetric):
    """mIoU; reads ``pred_sem_seg``, labels of the data set's vocabulary; their number is no class, a missed pixel.

    Ground truth of each frame: the PNG at ``seg_map_path``, a panoptic PNG where the frame has
    ``segments_info``, otherwise a map of category ids.

    Values: ``mIoU`` (over classes that occur in ground truth or prediction), ``mIoU_gt`` (in ground truth
    only), ``mAcc``, ``aAcc``, ``fwIoU``; with `unseen`, also ``mIoU_seen``, ``mIoU_unseen`` and ``hIoU``, see
    :func:`summarize_zero_shot`.

    Args:
        seg_format, seg_prefix, ignore_ids, reduce_zero_label, ignore_unknown: how ground truth is read, where
            the above does not fit; see :class:`SemanticTruth`.
        unseen: names of the categories without labels in the training. None: no zero-shot evaluation.
        prefix, kwargs: see mmengine's BaseMetric.

    Raises:
        ValueError: the arguments contradict each other, or a name in `unseen` is not in the vocabulary.
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
        unseen: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.unseen = unseen
        self.truth = SemanticTruth(seg_format, seg_prefix, ignore_ids, reduce_zero_label, ignore_unknown)

    def reduce(self, sample: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        """The confusion matrix, without its zeros."""
        self.vocabulary.labels_of(self.unseen or ())  # raises now, not after the last image
        num_classes = len(self.vocabulary)
        confusion = np.zeros((num_classes, num_classes + 1), dtype=np.int64)
        for frame in frames_of(sample):
            path = self.truth.path(self.field(frame, self.truth.path_field))
            confusion += confusion_matrix(
                self.truth.labels(path, self.vocabulary, frame.get("segments_info")),
                self.label_map(frame, "pred_sem_seg"),
                num_classes,
                ignore_index=IGNORE,
                where=path,
                with_void=True,
            )
        return sparse_counts(confusion)

    def summarize(self, results: dict[Any, tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
        num_classes = len(self.vocabulary)
        summary = summarize_confusion(sum_sparse_counts(results.values(), (num_classes, num_classes + 1)))
        values = {name: summary[name] for name in ("mIoU", "mIoU_gt", "mAcc", "aAcc", "fwIoU")}
        if self.unseen is not None:
            values |= summarize_zero_shot(summary["IoU"], self.vocabulary.labels_of(self.unseen))
        return percent(values)


@dataclass(frozen=True)
class VideoCounts:
    """What remains of a video.

    Attributes:
        confusion: its confusion matrix, without the zeros.
        clips: consistency of each clip, by clip length.
    """

    confusion: tuple[np.ndarray, np.ndarray]
    clips: dict[int, list[float]]


@METRICS.register_module()
class VideoSemanticMetric(SampleMetric):
    """mIoU and video consistency against VSPW's masks; reads ``pred_sem_seg`` of every frame.

    Ground truth of each frame: VSPW's official mask at ``seg_map_path``.

    Values: ``mIoU`` over the classes that occur in the ground truth (VSPW's convention), ``video_mIoU``, the
    mean of the videos' mIoU, ``Acc``, ``Acc_class`` and ``fwIoU``, and ``VC<n>`` for each clip length (NaN
    where no video is longer).

    Args:
        clip_lengths: clip lengths in frames.
        prefix, kwargs: see mmengine's BaseMetric.

    Raises:
        ValueError: a clip length is below 1.
    """

    default_prefix = "vspw"
    NUM_WORKERS = 2

    def __init__(self, clip_lengths: Sequence[int] = CLIP_LENGTHS, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.clip_lengths = tuple(clip_lengths)
        VideoConsistency(self.clip_lengths)  # raises now, not after the first video
        self.truth = SemanticTruth("vspw")

    def reduce(self, sample: dict[str, Any]) -> VideoCounts:
        num_classes = len(self.vocabulary)
        confusion = np.zeros((num_classes, num_classes + 1), dtype=np.int64)
        consistency = VideoConsistency(self.clip_lengths)
        for frame in frames_of(sample):
            path = str(self.field(frame, "seg_map_path"))
            truth = self.truth.labels(path, self.vocabulary)
            predicted = self.label_map(frame, "pred_sem_seg")
            confusion += confusion_matrix(
                truth, predicted, num_classes, ignore_index=IGNORE, where=path, with_void=True
            )
            consistency.add_frame(truth, predicted, where=path)
        return VideoCounts(sparse_counts(confusion), consistency.clips)

    def summarize(self, results: dict[Any, VideoCounts]) -> dict[str, float]:
        return percent(
            {
                **summarize_videos(
                    [video.confusion for video in results.values()], len(self.vocabulary), with_void=True
                ),
                **summarize_consistency(video.clips for video in results.values()),
            }
        )
