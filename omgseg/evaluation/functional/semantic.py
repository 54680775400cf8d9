"""Semantic segmentation from one confusion matrix, and video consistency VC_n: the share of the unchanged ground truth
on which predictions do not change either.

VC_n: Miao et al., VSPW: A Large-scale Dataset for Video Scene Parsing in the Wild, CVPR 2021, with the rules of the
official script (VC_perclip.py of https://github.com/sssdddwww2/CVPR2021_VSPW_Implement): whether a
prediction is correct plays no role, void is a label like any other, and the last full clip is not used.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from omgseg.evaluation.functional.inputs import check_same_size, overlap_table


def confusion_matrix(
    ground_truth: np.ndarray,
    predicted: np.ndarray,
    num_classes: int,
    ignore_index: int = 255,
    where: str = "image",
    with_void: bool = False,
) -> np.ndarray:
    """Pixels of each (true, predicted) pair.

    Args:
        ground_truth: integers (...), 0..num_classes - 1 or `ignore_index`, whose pixels are left out.
        predicted: integers (...), 0..num_classes - 1; may hold anything where the ground truth is ignored.
        where: name of the image, for errors.
        with_void: predictions may also hold num_classes, which is no class.

    Returns:
        int64 (num_classes, num_classes), rows are ground truth; with a further column for void predictions.

    Raises:
        ValueError: the sizes differ, or a label is out of range.
    """
    num_predicted = num_classes + with_void
    ground_truth, predicted = np.asarray(ground_truth), np.asarray(predicted)
    check_same_size(ground_truth, predicted, where)
    labelled = ground_truth != ignore_index
    pair = ground_truth[labelled], predicted[labelled]
    limits = num_classes, num_predicted
    for name, labels, limit in zip(("ground truth", "prediction"), pair, limits, strict=True):
        if labels.size and (labels.min() < 0 or labels.max() >= limit):
            wrong = labels.max() if labels.max() >= limit else labels.min()
            raise ValueError(f"{where}: the {name} holds label {wrong}, but there are {num_classes} classes")
    return overlap_table(*pair, *limits)


def summarize_confusion(confusion: np.ndarray) -> dict[str, np.ndarray | float]:
    """Scores of a confusion matrix (C, C) with ground truth in rows; all fractions.

    Pixels of a further column, (C, C + 1), are predicted as no class: they count as missed.

    Returns:
        ``IoU`` and ``Acc``, float64 (C,), NaN where undefined; ``mIoU`` averaged over the classes that occur
        in ground truth or prediction (convention of mmsegmentation); ``mIoU_gt`` over those of the ground
        truth only (detectron2, VSPW); ``mAcc``, mean recall; ``aAcc``, share of correct pixels; ``fwIoU``,
        weighted by ground-truth frequency. Scores of an empty matrix are NaN.
    """
    true, total = confusion.sum(axis=1).astype(float), float(confusion.sum())
    correct = np.diag(confusion).astype(float)
    union = true + confusion[:, : len(confusion)].sum(axis=0) - correct
    in_gt = true > 0
    nan = np.full(len(confusion), np.nan)
    iou = np.divide(correct, union, out=nan.copy(), where=union > 0)
    recall = np.divide(correct, true, out=nan.copy(), where=in_gt)
    if total == 0:
        undefined = dict.fromkeys(("mIoU", "mIoU_gt", "mAcc", "aAcc", "fwIoU"), float("nan"))
        return {"IoU": iou, "Acc": recall, **undefined}
    return {
        "IoU": iou,
        "Acc": recall,
        "mIoU": float(iou[union > 0].mean()),
        "mIoU_gt": float(iou[in_gt].mean()),
        "mAcc": float(recall[in_gt].mean()),
        "aAcc": float(correct.sum() / total),
        "fwIoU": float((true[in_gt] * iou[in_gt]).sum() / total),
    }


def summarize_zero_shot(iou: np.ndarray, unseen: Sequence[int]) -> dict[str, float]:
    """Scores of classes with and without labels in training (Xian et al., "Semantic Projection Network for Zero- and
    Few-Label Semantic Segmentation", CVPR 2019).

    Args:
        iou: (C,), NaN where undefined.
        unseen: labels of the classes without labels in the training.

    Returns:
        ``mIoU_seen`` and ``mIoU_unseen``, means over the classes whose IoU is defined (NaN where none is), and
        ``hIoU``, their harmonic mean.
    """
    is_unseen = np.isin(np.arange(len(iou)), list(unseen))
    groups = [part[~np.isnan(part)] for part in (iou[~is_unseen], iou[is_unseen])]
    seen, novel = (float(part.mean()) if len(part) else float("nan") for part in groups)
    both = seen + novel
    harmonic = 0.0 if both == 0 else 2 * seen * novel / both
    return {"mIoU_seen": seen, "mIoU_unseen": novel, "hIoU": harmonic}


def sparse_counts(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions (in the flat table) and values of what is not zero: small enough to keep for every image."""
    positions = np.flatnonzero(counts)
    return positions, counts.flat[positions]


def sum_sparse_counts(parts: Iterable[tuple[np.ndarray, np.ndarray]], shape: tuple[int, ...]) -> np.ndarray:
    """Sum of tables of one shape from :func:`sparse_counts`, int64 `shape`."""
    total = np.zeros(shape, dtype=np.int64)
    for positions, values in parts:
        total.flat[positions] += values
    return total


def summarize_videos(
    confusions: Sequence[tuple[np.ndarray, np.ndarray]], num_classes: int, with_void: bool = False
) -> dict[str, float]:
    """VSPW's scores (its official evaluator's conventions), from the confusion matrix of each video.

    Args:
        confusions: matrices (num_classes, num_classes) from :func:`sparse_counts`.
        with_void: they have a further column, see :func:`confusion_matrix`.

    Returns:
        Fractions, NaN where nothing is labelled: ``mIoU``, over the classes of the ground truth, all videos
        together; ``video_mIoU``, the mean of the videos' own; ``Acc``, share of correct pixels;
        ``Acc_class``, mean recall; ``fwIoU``, weighted by ground-truth frequency.
    """
    shape = (num_classes, num_classes + with_void)
    total = summarize_confusion(sum_sparse_counts(confusions, shape))
    videos = [summarize_confusion(sum_sparse_counts([part], shape))["mIoU_gt"] for part in confusions]
    labelled = [value for value in videos if not np.isnan(value)]
    return {
        "mIoU": total["mIoU_gt"],
        "video_mIoU": float(np.mean(labelled)) if labelled else float("nan"),
        "Acc": total["aAcc"],
        "Acc_class": total["mAcc"],
        "fwIoU": total["fwIoU"],
    }


CLIP_LENGTHS = (8, 16)


class VideoConsistency:
    """Clip values of one video, collected frame by frame; only the last frame is kept.

    Args:
        lengths: clip lengths n in frames, each at least 1.

    Attributes:
        clips: for each n the values of the clips that start at frame 0, 1, ..., T - n - 1 (none where T <= n):
            of the pixels whose ground truth does not change within the clip, the share whose prediction
            does not either; NaN where every pixel changes.
    """

    def __init__(self, lengths: Sequence[int] = CLIP_LENGTHS) -> None:
        if not lengths or min(lengths) < 1:
            raise ValueError(f"clip lengths must be at least 1 frame, got {tuple(lengths)}")
        self.clips: dict[int, list[float]] = {length: [] for length in lengths}
        self._last: tuple[np.ndarray, np.ndarray] | None = None
        self._since: tuple[np.ndarray, np.ndarray] | None = None
        self._num_frames = 0

    def add_frame(self, ground_truth: np.ndarray, predicted: np.ndarray, where: str = "frame") -> None:
        """Take the next frame: integers (H, W) each; `where` names it in errors.

        Raises:
            ValueError: the maps differ in size, or the frame differs from those before it.
        """
        check_same_size(ground_truth, predicted, where)
        if self._last is None:
            self._since = (np.zeros(ground_truth.shape, np.int32), np.zeros(ground_truth.shape, np.int32))
        else:
            self._check_size(ground_truth, where)
            self._count_clips()
            for since, before, now in zip(self._since, self._last, (ground_truth, predicted), strict=True):
                since[before != now] = self._num_frames
        self._last = (np.array(ground_truth), np.array(predicted))
        self._num_frames += 1

    def _check_size(self, ground_truth: np.ndarray, where: str) -> None:
        if ground_truth.shape != self._last[0].shape:
            raise ValueError(
                f"{where}: the frame has size {ground_truth.shape}, those before it {self._last[0].shape}"
            )

    def _count_clips(self) -> None:
        """The clips that end with the last frame, now that another follows."""
        gt_since, pred_since = self._since
        for length, values in self.clips.items():
            start = self._num_frames - length
            if start >= 0:
                still = gt_since <= start
                count = np.count_nonzero(still)
                both = np.count_nonzero(still & (pred_since <= start))
                values.append(both / count if count else float("nan"))


def summarize_consistency(videos: Iterable[dict[int, list[float]]]) -> dict[str, float]:
    """``VC<n>``: the mean over all clips of all videos that have a value; NaN where no clip has one.

    Args:
        videos: `clips` of each video, all of the same lengths.
    """
    videos = list(videos)
    result = {}
    for length in videos[0] if videos else ():
        defined = [value for clips in videos for value in clips[length] if not math.isnan(value)]
        result[f"VC{length}"] = math.fsum(defined) / len(defined) if defined else float("nan")
    return result
