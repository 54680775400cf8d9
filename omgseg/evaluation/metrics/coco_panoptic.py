"""Panoptic quality of images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from omgseg.evaluation.functional.coco_panoptic import (
    PanopticAnnotations,
    class_lookup,
    compare_image,
    segments_of_map,
)
from omgseg.evaluation.functional.label_map import unique_index
from omgseg.evaluation.functional.panoptic import PanopticStat
from omgseg.evaluation.metrics.base import INSTANCE_OFFSET, SampleMetric, percent, split_panoptic
from omgseg.registry import METRICS


@METRICS.register_module()
class CocoPanopticMetric(SampleMetric):
    """PQ against COCO panoptic files; reads ``pred_panoptic_seg``.

    Values: ``PQ``, ``SQ``, ``RQ``, ``PQ_th``, ``PQ_st``, and ``PQ_<group>``. The classes are those of the
    annotation file; averages run over those that occur.

    Args:
        ann_file: panoptic JSON.
        seg_prefix: folder of the PNGs.
        groups: category names of each further average, e.g. ``{"novel": [...]}``.
        prefix, kwargs: see mmengine's BaseMetric.

    Raises:
        FileNotFoundError, ValueError: a file is missing or of another kind, or a group names an unknown
        category.
    """

    default_prefix = "coco_panoptic"
    NUM_WORKERS = 2

    def __init__(
        self,
        ann_file: str,
        seg_prefix: str,
        groups: Mapping[str, Sequence[str]] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.annotations = PanopticAnnotations(ann_file, seg_prefix)
        categories = self.annotations.categories
        self.class_of = class_lookup(categories)
        things = np.array([bool(category["isthing"]) for category in categories])
        self.averages: dict[str, np.ndarray] = {"PQ_th": things, "PQ_st": ~things}
        names = [category["name"] for category in categories]
        for group, members in (groups or {}).items():
            unknown = [member for member in members if member not in names]
            if unknown:
                raise ValueError(
                    f"groups[{group!r}] names {unknown[0]!r}, which is no category of {ann_file}"
                )
            self.averages[f"PQ_{group}"] = np.isin(names, list(members))

    def reduce(self, sample: dict[str, Any]) -> PanopticStat:
        image_id = self.field(sample, "img_id")
        ground_truth = self.annotations.load(image_id)
        labels, instances = split_panoptic(
            self.label_map(sample, "pred_panoptic_seg").astype(np.int64), len(self.vocabulary)
        )
        ids = np.where(labels == len(self.vocabulary), 0, instances * INSTANCE_OFFSET + labels + 1)
        present = unique_index(ids)[0]
        categories = self.category_ids((present[present > 0] - 1) % INSTANCE_OFFSET)
        category_of = dict(zip(present[present > 0].tolist(), categories.tolist(), strict=True))
        return compare_image(
            ground_truth,
            (ids, segments_of_map(ids, category_of)),
            self.class_of,
            self.annotations.name_of(image_id),
        )

    def summarize(self, results: dict[Any, PanopticStat]) -> dict[str, float]:
        total = reduce(add, results.values())
        mean = total.mean()
        values = {name.upper(): mean[name] for name in ("pq", "sq", "rq")}
        values |= {name: total.mean(select)["pq"] for name, select in self.averages.items()}
        return percent(values)
