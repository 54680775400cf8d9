"""Semantic segmentation: everything follows from one confusion matrix."""

from __future__ import annotations

import numpy as np

from omgseg.evaluation.functional.label_map import check_same_size, overlap_table


def confusion_matrix(
    ground_truth: np.ndarray,
    predicted: np.ndarray,
    num_classes: int,
    ignore_index: int = 255,
    where: str = "image",
) -> np.ndarray:
    """Pixels of each (true, predicted) pair.

    Args:
        ground_truth: integers (...), 0..num_classes - 1 or `ignore_index`, whose pixels are left out.
        predicted: integers (...), 0..num_classes - 1; may hold anything where the ground truth is ignored.
        where: name of the image, for errors.

    Returns:
        int64 (num_classes, num_classes), rows are ground truth.

    Raises:
        ValueError: the sizes differ, or a label is out of range.
    """
    ground_truth, predicted = np.asarray(ground_truth), np.asarray(predicted)
    check_same_size(ground_truth, predicted, where)
    labelled = ground_truth != ignore_index
    pair = {"ground truth": ground_truth[labelled], "prediction": predicted[labelled]}
    for name, labels in pair.items():
        if labels.size and (labels.min() < 0 or labels.max() >= num_classes):
            wrong = labels.max() if labels.max() >= num_classes else labels.min()
            raise ValueError(f"{where}: the {name} holds label {wrong}, but there are {num_classes} classes")
    return overlap_table(*pair.values(), num_classes, num_classes)


def summarize_confusion(confusion: np.ndarray) -> dict[str, np.ndarray | float]:
    """Scores of a confusion matrix (C, C) with ground truth in rows; all fractions.

    Returns:
        ``IoU`` and ``Acc``, float64 (C,), NaN where undefined; ``mIoU`` averaged over the classes that occur
        in ground truth or prediction (convention of mmsegmentation); ``mIoU_gt`` over those of the ground
        truth only (detectron2, VSPW); ``mAcc``, mean recall; ``aAcc``, share of correct pixels; ``fwIoU``,
        weighted by ground-truth frequency. Scores of an empty matrix are NaN.
    """
    true, total = confusion.sum(axis=1).astype(float), float(confusion.sum())
    correct = np.diag(confusion).astype(float)
    union = true + confusion.sum(axis=0) - correct
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
