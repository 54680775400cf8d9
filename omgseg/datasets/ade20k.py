"""ADE20K: scene parsing with 150 categories."""

from __future__ import annotations

from typing import Any

from omgseg.datasets.coco_panoptic import CocoPanopticDataset
from omgseg.datasets.vocabularies import load_vocabulary
from omgseg.registry import DATASETS


@DATASETS.register_module()
class ADE20KDataset(CocoPanopticDataset):
    """ADEChallengeData2016 (http://sceneparsing.csail.mit.edu), as converted by ``tools/datasets/ade20k_panoptic.py``
    or by Mask2Former's scripts: ``ann_file`` is ``ade20k_panoptic_{train,val}.json``.

    A category id is the value of the semantic masks minus one, in the panoptic and in the instance file; image ids
    are strings (``ADE_val_00000001``).
    """

    README_ANCHOR = "ade20k"
    SOURCE = "ade20k"

    def __init__(self, *args: Any, vocabulary: Any = None, **kwargs: Any) -> None:
        super().__init__(*args, vocabulary=vocabulary or load_vocabulary("ade20k"), **kwargs)

    def _entry(self, image: dict[str, Any], annotation: dict[str, Any] | None) -> dict[str, Any]:
        """Stuff without its area, which counts the pixels under things: the evaluation wants it so, nobody else."""
        entry = super()._entry(image, annotation)
        stuff = {category.id for category in self.vocabulary if not category.is_thing}
        for frame in entry["frames"]:
            if "segments_info" in frame:
                frame["segments_info"] = [
                    {k: v for k, v in segment.items() if k != "area" or segment["category_id"] not in stuff}
                    for segment in frame["segments_info"]
                ]
        return entry
