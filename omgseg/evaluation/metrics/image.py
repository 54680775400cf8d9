"""Metrics of images against files: panoptic quality, and AP by the rules of COCO, LVIS and Cityscapes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import reduce
from itertools import chain
from operator import add
from pathlib import Path
from typing import Any

import numpy as np

from omgseg.evaluation.functional.average_precision import (
    check_lvis_fields,
    evaluate_instances,
    evaluate_lvis,
    evaluate_proposals,
    mean_of_defined,
)
from omgseg.evaluation.functional.cityscapes import match_instances, summarize_cityscapes
from omgseg.evaluation.functional.inputs import check_masks, load_annotations, unique_index
from omgseg.evaluation.functional.panoptic import (
    PanopticAnnotations,
    PanopticStat,
    class_lookup,
    compare_image,
    segments_of_map,
)
from omgseg.evaluation.metrics.base import INSTANCE_OFFSET, SampleMetric, percent, split_panoptic, to_numpy
from omgseg.messages import placed
from omgseg.registry import METRICS
from omgseg.structures.run_lengths import encode_masks


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
        with placed(ann_file):
            self.annotations = PanopticAnnotations(ann_file, seg_prefix)
            categories = self.annotations.categories
            self.class_of = class_lookup(categories)
            things = np.array([bool(category["isthing"]) for category in categories])
            names = [category["name"] for category in categories]
        self.averages: dict[str, np.ndarray] = {"PQ_th": things, "PQ_st": ~things}
        for group, members in (groups or {}).items():
            unknown = [member for member in members if member not in names]
            if unknown:
                raise ValueError(
                    f"groups[{group!r}] names {unknown[0]!r}, which is not a category of {ann_file}"
                )
            self.averages[f"PQ_{group}"] = np.isin(names, list(members))

    def reduce(self, sample: dict[str, Any]) -> PanopticStat:
        image_id = self.field(sample, "img_id")
        where = str(self.annotations.ann_file)
        with placed(where):
            ground_truth = self.annotations.load(image_id)
        labels, instances = split_panoptic(
            self.label_map(sample, "pred_panoptic_seg").astype(np.int64), len(self.vocabulary)
        )
        ids = np.where(labels == len(self.vocabulary), 0, instances * INSTANCE_OFFSET + labels + 1)
        present = unique_index(ids)[0]
        categories = self.category_ids((present[present > 0] - 1) % INSTANCE_OFFSET)
        category_of = dict(zip(present[present > 0].tolist(), categories.tolist(), strict=True))
        with placed(where):
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


class InstanceFileMetric(SampleMetric):
    """Collects ``pred_instances`` (labels, scores, masks) as result entries in COCO's format.

    Args:
        ann_file: instance JSON.
        kwargs: see SampleMetric.

    Raises:
        FileNotFoundError, ValueError: the file is missing or of another kind.
    """

    def __init__(self, ann_file: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ann_file = ann_file
        self.ground_truth = load_annotations(ann_file, ("images", "annotations", "categories"))
        with placed(ann_file):
            self.sizes = {i["id"]: (i["height"], i["width"]) for i in self.ground_truth["images"]}
            check_masks(self.ground_truth["annotations"], self.sizes, ann_file)

    @abstractmethod
    def evaluate_entries(self, entries: list[dict[str, Any]], image_ids: list[Any]) -> dict[str, float]:
        """Values (fractions, -1 where undefined) of the result entries of these images."""

    def image_of(self, sample: dict[str, Any]) -> Any:
        """The sample's image id, which the file must have."""
        image_id = self.field(sample, "img_id")
        if image_id not in self.sizes:
            raise ValueError(
                f"{self.ann_file}: field 'images' has no entry with id {image_id!r}; dataset and metric must "
                "use the same annotation file"
            )
        return image_id

    def check_size(self, image_id: Any, size: tuple[int, ...]) -> None:
        """Refuse predicted masks of another size (H, W) than the file says."""
        if size != self.sizes[image_id]:
            raise ValueError(
                f"image {image_id}: predicted masks have size {size}, {self.ann_file} says "
                f"{self.sizes[image_id]}; predictions must be resized to the original image (ori_shape)"
            )

    def reduce(self, sample: dict[str, Any]) -> list[dict[str, Any]]:
        """The result entries of an image."""
        image_id = self.image_of(sample)
        predicted = self.field(sample, "pred_instances")
        masks = to_numpy(predicted["masks"])
        self.check_size(image_id, masks.shape[1:])
        categories = self.category_ids(to_numpy(predicted["labels"])).tolist()
        scores = to_numpy(predicted["scores"]).tolist()
        return [
            {"image_id": image_id, "category_id": category, "score": score, "segmentation": mask}
            for category, score, mask in zip(categories, scores, encode_masks(masks), strict=True)
        ]

    def summarize(self, results: dict[Any, list[dict[str, Any]]]) -> dict[str, float]:
        entries = list(chain.from_iterable(results.values()))
        with placed(self.ann_file):
            return percent(self.evaluate_entries(entries, list(results)))


@METRICS.register_module()
class CocoInstanceMetric(InstanceFileMetric):
    """Mask AP against a COCO instance file; reads ``pred_instances`` (labels, scores, masks).

    Values: the twelve COCO numbers (``AP``, ``AP50``, ``AP75``, ``APs``, ... ``AR@100``, ...), -1 where
    undefined. The classes are those of the annotation file, the images those that were predicted.

    Args:
        ann_file: instance JSON.
        boundary: also the twelve numbers of boundary AP: ``AP_boundary``, ``AP50_boundary``, ...
        groups: category ids of each further average, ``AP_<group>``. All numbers are then those of the categories that
            are in a group, as if the file had no others.
        prefix, kwargs: see mmengine's BaseMetric.

    Raises:
        FileNotFoundError, ValueError: the file is missing or of another kind.
    """

    default_prefix = "coco_instance"

    def __init__(
        self,
        ann_file: str,
        boundary: bool = False,
        groups: Mapping[str, Sequence[int]] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(ann_file, **kwargs)
        self.boundary = boundary
        self.groups = dict(groups or {})
        if self.groups:
            kept = set(chain.from_iterable(self.groups.values()))
            truth = self.ground_truth
            categories = [category for category in truth["categories"] if category["id"] in kept]
            annotations = [entry for entry in truth["annotations"] if entry["category_id"] in kept]
            self.ground_truth = {**truth, "categories": categories, "annotations": annotations}

    def evaluate_entries(self, entries: list[dict[str, Any]], image_ids: list[Any]) -> dict[str, float]:
        if self.groups:
            kept = {category["id"] for category in self.ground_truth["categories"]}
            entries = [entry for entry in entries if entry["category_id"] in kept]
        values, by_category = evaluate_instances(self.ground_truth, entries, image_ids)
        for name, members in self.groups.items():
            of_group = [value for number, value in by_category.items() if number in members]
            values[f"AP_{name}"] = mean_of_defined(np.array(of_group))
        if self.boundary:
            bands, _ = evaluate_instances(self.ground_truth, entries, image_ids, boundary=True)
            values |= {f"{name}_boundary": value for name, value in bands.items()}
        return values


@METRICS.register_module()
class ProposalMetric(InstanceFileMetric):
    """Average recall of all masks of an image, whatever their classes; reads ``pred_proposals`` (masks as RLE, scores).

    Values: ``AR@100``, ``AR@1000``, and ``ARs@1000``, ``ARm@1000``, ``ARl@1000`` (small, medium and large objects), see
    :func:`~omgseg.evaluation.functional.average_precision.evaluate_proposals`. The images are those that were
    predicted.

    Args:
        ann_file: instance JSON.
        prefix, kwargs: see mmengine's BaseMetric.

    Raises:
        FileNotFoundError, ValueError: the file is missing or of another kind.
    """

    default_prefix = "proposals"

    def reduce(self, sample: dict[str, Any]) -> list[dict[str, Any]]:
        image_id = self.image_of(sample)
        predicted = self.field(sample, "pred_proposals")
        for mask in predicted["masks"]:
            self.check_size(image_id, tuple(mask["size"]))
        return [
            {"image_id": image_id, "score": score, "segmentation": mask}
            for score, mask in zip(to_numpy(predicted["scores"]).tolist(), predicted["masks"], strict=True)
        ]

    def evaluate_entries(self, entries: list[dict[str, Any]], image_ids: list[Any]) -> dict[str, float]:
        return evaluate_proposals(self.ground_truth, entries, image_ids)


@METRICS.register_module()
class LVISMetric(InstanceFileMetric):
    """Mask AP against an LVIS v1 file; reads ``pred_instances`` (labels, scores, masks).

    Values: ``AP``, ``AP50``, ``AP75``, ``APs``, ``APm``, ``APl``, ``APr``, ``APc``, ``APf`` (rare, common and
    frequent categories), ``AR@300``, ``ARs@300``, ``ARm@300``, ``ARl@300``, -1 where undefined. The classes
    are those of the annotation file, the images those that were predicted.

    Args:
        ann_file: LVIS JSON.
        prefix, kwargs: see mmengine's BaseMetric.

    Raises:
        FileNotFoundError, ValueError: the file is missing or of another kind.
    """

    default_prefix = "lvis"

    def __init__(self, ann_file: str, **kwargs: Any) -> None:
        super().__init__(ann_file, **kwargs)
        check_lvis_fields(self.ground_truth, ann_file)

    def evaluate_entries(self, entries: list[dict[str, Any]], image_ids: list[Any]) -> dict[str, float]:
        return evaluate_lvis(self.ground_truth, entries, image_ids)[0]


@METRICS.register_module()
class CityscapesInstanceMetric(SampleMetric):
    """Instance AP of Cityscapes' official evaluation; reads ``pred_instances`` (labels, scores, masks).

    Ground truth of each image: ``<city>/<img_id>_gtFine_instanceIds.png``, where an ``img_id`` is the name of the
    image without ``_leftImg8bit.png`` and begins with the city. Category ids of the vocabulary are the
    official label ids.

    Values: ``AP`` and ``AP50``, means over the classes that occur in the ground truth; NaN without any.

    Args:
        seg_prefix: folder of the cities in ``gtFine``.
        prefix, kwargs: see mmengine's BaseMetric.

    Raises:
        FileNotFoundError: the folder is missing.
    """

    default_prefix = "cityscapes"

    def __init__(self, seg_prefix: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seg_prefix = Path(seg_prefix)
        if not self.seg_prefix.is_dir():
            raise FileNotFoundError(f"{seg_prefix} not found; see data/README.md#cityscapes")

    def reduce(self, sample: dict[str, Any]) -> dict[str, Any]:
        """Areas and overlaps of an image's predictions and objects."""
        name = str(self.field(sample, "img_id"))
        path = self.seg_prefix / name.split("_")[0] / f"{name}_gtFine_instanceIds.png"
        predicted = self.field(sample, "pred_instances")
        labels, scores, masks = (to_numpy(predicted[field]) for field in ("labels", "scores", "masks"))
        return match_instances(path, self.category_ids(labels).tolist(), scores.tolist(), masks)

    def summarize(self, results: dict[Any, dict[str, Any]]) -> dict[str, float]:
        return percent(summarize_cityscapes(results.values())[0])
