"""IoU of prompted masks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from omgseg.evaluation.functional.average_precision import check_lvis_fields
from omgseg.evaluation.functional.inputs import load_annotations
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
    """Names and masks of prompted objects; reads ``gt_instances`` and, by row, ``pred_instances`` (box prompts) and
    ``pred_centres`` (centre points), each with masks and labels.

    Values, by the prompt (``box``, ``centre``): ``Acc_box``, the share of objects with the right name, and ``mIoU_box``
    of their masks; and the same over the objects of each group, ``Acc_box_<group>``, ``mIoU_box_<group>``. All are
    means over objects, not over categories; NaN without an object.

    Args:
        groups: category ids of each further average; with `ann_file`, frequencies of categories:
            ``{"base": ["f", "c"], "novel": ["r"]}``.
        ann_file: an LVIS file, whose categories have a ``frequency``.
        prefix, kwargs: see mmengine's BaseMetric.

    Raises:
        FileNotFoundError, ValueError: `ann_file` is missing, or no LVIS file.
    """

    default_prefix = "naming"
    PROMPTS = {"box": "pred_instances", "centre": "pred_centres"}
    """The fields of a sample by prompt."""

    def __init__(
        self,
        groups: Mapping[str, Sequence[int | str]] | None = None,
        ann_file: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.groups = {name: list(members) for name, members in (groups or {}).items()}
        if ann_file is not None:
            truth = load_annotations(ann_file, ("images", "categories"))
            check_lvis_fields(truth, ann_file)
            for name, frequencies in self.groups.items():
                self.groups[name] = [c["id"] for c in truth["categories"] if c["frequency"] in frequencies]

    def reduce(self, sample: dict[str, Any]) -> dict[str, dict[str, np.ndarray]]:
        """Per prompt: ``label`` of each object (N,), whether its name is ``right``, and ``overlaps`` int64 (2, N)."""
        truth = self.field(sample, "gt_instances")
        self.field(sample, self.PROMPTS["box"])
        labels, masks = to_numpy(truth["labels"]), to_numpy(truth["masks"])
        values = {}
        for prompt, field in self.PROMPTS.items():
            if field in sample:
                right = to_numpy(sample[field]["labels"]) == labels
                overlaps = np.stack(mask_overlaps(masks, to_numpy(sample[field]["masks"])))
                values[prompt] = dict(label=labels, right=right, overlaps=overlaps)
        return values

    def summarize(self, results: dict[Any, dict[str, dict[str, np.ndarray]]]) -> dict[str, float]:
        values: dict[str, float] = {}
        for prompt in next(iter(results.values())):
            parts = [result[prompt] for result in results.values()]
            label, right, overlaps = (
                np.concatenate([part[name] for part in parts], -1) for name in ("label", "right", "overlaps")
            )
            if not len(label):
                raise ValueError(f"none of the {len(results)} images has a prompted object")
            chosen = {"": np.ones(len(label), bool)}
            chosen |= {
                f"_{name}": np.isin(self.category_ids(label), ids) for name, ids in self.groups.items()
            }
            for name, rows in chosen.items():
                values[f"Acc_{prompt}{name}"] = float(right[rows].mean()) if rows.any() else float("nan")
                values[f"mIoU_{prompt}{name}"] = summarize_overlaps(*overlaps[:, rows])["mIoU"]
        return percent(values)
