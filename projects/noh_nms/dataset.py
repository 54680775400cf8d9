"""CrowdHuman for training and testing: its files as a dataset of mmdet, and its evaluation as a metric."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmdet.datasets import BaseDetDataset
from mmengine.evaluator import BaseMetric

from omgseg.projects.noh_nms.crowd_human import Detections, evaluate, read_odgt
from omgseg.registry import DATASETS, METRICS


@DATASETS.register_module()
class OdgtDataset(BaseDetDataset):
    """Images and whole-body boxes of CrowdHuman, for the transforms of mmdet.

    mmdet's own CrowdHumanDataset also needs boxes of heads, and writes the sizes of images beside the annotations.

    Args: see :class:`mmdet.datasets.BaseDetDataset`; ``ann_file`` is a file for
        :func:`~omgseg.projects.noh_nms.crowd_human.read_odgt`, ``data_prefix.img`` the folder of the images.

    Raises:
        FileNotFoundError, ValueError: see :func:`~omgseg.projects.noh_nms.crowd_human.read_odgt`.
    """

    METAINFO = dict(classes=("person",), palette=[(220, 20, 60)])

    def load_data_list(self) -> list[dict[str, Any]]:
        """Of each image its path and its people; regions that are not counted have the flag of ignored boxes."""
        folder = Path(self.data_prefix.get("img", ""))
        return [
            dict(
                img_id=name,
                img_path=str(folder / f"{name}.jpg"),
                instances=[
                    dict(bbox=box, bbox_label=0, ignore_flag=int(ignored))
                    for box, ignored in zip(one.boxes.tolist(), one.ignored, strict=True)
                ],
            )
            for name, one in read_odgt(self.ann_file).items()
        ]


@METRICS.register_module()
class CrowdMetric(BaseMetric):
    """``crowd_human/AP``, ``Recall`` and ``MR`` in percent, see :func:`~omgseg.projects.noh_nms.crowd_human.evaluate`.

    Args:
        ann_file: ``annotation_val.odgt``; people with the centre outside of their image are not counted.
        published: with the mistakes of the published evaluation.
        options: of :class:`mmengine.evaluator.BaseMetric`.
    """

    default_prefix = "crowd_human"

    def __init__(self, ann_file: str, published: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.ann_file = ann_file
        self.published = published

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Keep the detections of a batch."""
        for sample in data_samples:
            found = sample["pred_instances"]
            boxes, scores = (found[name].cpu().numpy().astype(np.float64) for name in ("bboxes", "scores"))
            self.results.append((sample["img_id"], tuple(sample["ori_shape"]), boxes, scores))

    def compute_metrics(
        self, results: list[tuple[str, tuple[int, int], np.ndarray, np.ndarray]]
    ) -> dict[str, float]:
        """Evaluate all images.

        Raises:
            ValueError: an annotated image was not tested.
        """
        people = read_odgt(self.ann_file, {name: size for name, size, *_ in results})
        detections = {name: Detections(*found) for name, _, *found in results}
        scores = evaluate(people, detections, self.published)
        return {name: 100 * value for name, value in scores.items()}
