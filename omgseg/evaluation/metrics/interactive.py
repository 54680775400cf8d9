"""IoU of prompted masks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from omgseg.evaluation.functional.interactive import (
    NOC_THRESHOLDS,
    mask_overlaps,
    mean_iou,
    number_of_clicks,
    summarize_overlaps,
)
from omgseg.evaluation.metrics.base import SampleMetric, percent, to_numpy
from omgseg.registry import METRICS

Overlaps = tuple[np.ndarray, np.ndarray]


@METRICS.register_module()
class InteractiveMetric(SampleMetric):
    """IoU of the masks of prompts; reads ``pred_instances.masks`` and ``gt_instances.masks``, paired by row.

    Values: ``mIoU``, ``IoU@50``, ``IoU@75`` (shares of prompts at or above), ``oIoU``. Where ``ClickLoop`` has prompted
    with boxes and with further clicks: ``mIoU_box``, ``mIoU_clicks<k>`` for k = 1, ..., K, and ``NoC<K>@85``,
    ``NoC<K>@90``, the mean numbers of clicks to reach these IoUs.
    """

    default_prefix = "interactive"

    def reduce(self, sample: dict[str, Any]) -> dict[str, Overlaps]:
        """Intersections and unions by kind of prompt: "" (the sample's own prompts), "box", "clicks1", ..."""
        ground_truth = to_numpy(self.field(sample, "gt_instances")["masks"])
        predicted = {"": to_numpy(self.field(sample, "pred_instances")["masks"])}
        if "pred_box" in sample:
            predicted["box"] = to_numpy(sample["pred_box"]["masks"])
        if "pred_clicks" in sample:
            rounds = to_numpy(sample["pred_clicks"]["masks"])
            predicted |= {f"clicks{k + 1}": rounds[:, k] for k in range(rounds.shape[1])}
        try:
            return {kind: mask_overlaps(ground_truth, masks) for kind, masks in predicted.items()}
        except ValueError as error:
            raise ValueError(f"image {sample.get('img_id')!r}: {error}") from error

    def summarize(self, results: dict[Any, dict[str, Overlaps]]) -> dict[str, float]:
        summaries = {
            kind: _summary([overlaps[kind] for overlaps in results.values()])
            for kind in next(iter(results.values()))
        }
        values = {name: summaries[""][name] for name in ("mIoU", "IoU@50", "IoU@75", "oIoU")}
        values |= {f"mIoU_{kind}": summary["mIoU"] for kind, summary in summaries.items() if kind}
        return percent(values) | _clicks_to_reach(results.values())


def _clicks_to_reach(results: Iterable[dict[str, Overlaps]]) -> dict[str, float]:
    results = list(results)
    most = sum(kind.startswith("clicks") for kind in results[0])
    if not most:
        return {}
    rounds = [f"clicks{number + 1}" for number in range(most)]
    intersection, union = (
        np.concatenate([np.stack([overlaps[kind][part] for kind in rounds], axis=1) for overlaps in results])
        for part in (0, 1)
    )
    return {f"NoC{most}@{limit}": number_of_clicks(intersection, union, limit) for limit in NOC_THRESHOLDS}


def _summary(overlaps: list[Overlaps]) -> dict[str, Any]:
    intersection, union = (np.concatenate(parts) for parts in zip(*overlaps, strict=True))
    if not len(union):
        raise ValueError(f"none of the {len(overlaps)} images has a prompted object")
    return summarize_overlaps(intersection, union)


@METRICS.register_module()
class RefinementMetric(SampleMetric):
    """IoU after a first prompt and after each corrective point; reads what ``RefinementLoop`` has counted.

    Values: ``mIoU_box``, ``mIoU_box+1``, ``mIoU_box+2``, ... and ``mIoU_centre``, ``mIoU_centre+1``, ...: means
    over all objects, without those whose union is empty.
    """

    default_prefix = "interactive"

    def reduce(self, sample: dict[str, Any]) -> dict[str, Overlaps]:
        """Intersections and unions, int64 (N, rounds), by the first prompt."""
        kinds = [name.removeprefix("pred_overlaps_") for name in sample if name.startswith("pred_overlaps_")]
        if not kinds:
            self.field(sample, "pred_overlaps_centre")
        counts = {kind: sample[f"pred_overlaps_{kind}"] for kind in sorted(kinds)}
        return {
            kind: (to_numpy(both["intersection"]), to_numpy(both["union"])) for kind, both in counts.items()
        }

    def summarize(self, results: dict[Any, dict[str, Overlaps]]) -> dict[str, float]:
        values = {}
        for kind in next(iter(results.values())):
            parts = zip(*(overlaps[kind] for overlaps in results.values()), strict=True)
            intersection, union = (np.concatenate(part) for part in parts)
            if not len(union):
                raise ValueError(f"none of the {len(results)} images has a prompted object")
            for number in range(union.shape[1]):
                name = f"mIoU_{kind}+{number}" if number else f"mIoU_{kind}"
                values[name] = mean_iou(intersection[:, number], union[:, number])
        return percent(values)


@METRICS.register_module()
class NamingMetric(SampleMetric):
    """Names and masks of prompted objects; reads ``pred_instances`` and ``gt_instances`` (masks, labels) by row.

    Values: ``Acc``, the share of objects with the right name, and ``mIoU`` of their masks.
    """

    default_prefix = "naming"

    def reduce(self, sample: dict[str, Any]) -> tuple[np.ndarray, Overlaps]:
        """Whether each name is right, bool (N,); intersections and unions, int64 (N,)."""
        truth, found = self.field(sample, "gt_instances"), self.field(sample, "pred_instances")
        overlaps = mask_overlaps(to_numpy(truth["masks"]), to_numpy(found["masks"]))
        return to_numpy(truth["labels"]) == to_numpy(found["labels"]), overlaps

    def summarize(self, results: dict[Any, tuple[np.ndarray, Overlaps]]) -> dict[str, float]:
        right = np.concatenate([right for right, _ in results.values()])
        mean = _summary([overlaps for _, overlaps in results.values()])["mIoU"]
        return percent({"Acc": float(right.mean()), "mIoU": mean})
