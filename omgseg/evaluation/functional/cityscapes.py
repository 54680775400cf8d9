"""Cityscapes' own instance AP, computed by the official package (cityscapesscripts).

Unlike COCO's: predictions on void and on groups are ignored by their share, objects below 100 pixels do not
count, and precision is integrated without smoothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from copy import copy
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

import numpy as np
from PIL import Image

from omgseg.evaluation.functional.inputs import check_same_size
from omgseg.structures.label_png import read_index_png

# Of each prediction and object the package needs no more than this to average precision.
_FIELDS = ("instID", "pixelCount", "medDist", "distConf", "voidIntersection", "confidence", "intersection")


def _package() -> tuple[ModuleType, Any]:
    """The official evaluation module, and parameters of our own: the module keeps its in a global object.

    Raises:
        ImportError: the package is not installed.
    """
    try:
        from cityscapesscripts.evaluation import evalInstanceLevelSemanticLabeling as official
    except ImportError as error:
        raise ImportError(
            "Cityscapes instance AP needs the dataset's own package: pip install cityscapesscripts"
        ) from error
    parameters = copy(official.args)
    parameters.quiet, parameters.JSONOutput, parameters.distanceAvailable = True, False, False
    official.setInstanceLabels(parameters)
    return official, parameters


def match_instances(
    instance_map: str | Path, label_ids: Sequence[int], scores: Sequence[float], masks: np.ndarray
) -> dict[str, Any]:
    """Compare the predictions for an image with its ground truth.

    Args:
        instance_map: ``*_gtFine_instanceIds.png``.
        label_ids: N official label ids (24 person ... 33 bicycle); others are left out.
        scores: N confidences.
        masks: bool (N, H, W).

    Returns:
        What :func:`summarize_cityscapes` needs: areas and overlaps, no masks.

    Raises:
        FileNotFoundError, OSError: the map is missing or truncated.
        ValueError: sizes differ, or the map holds an id that is not a label.
        ImportError: the package is not installed.
    """
    official, parameters = _package()
    truth, path = read_index_png(instance_map), str(instance_map)
    if len(masks):
        check_same_size(truth, masks[0], path)
    try:
        (instances,) = official.instances2dict([path]).values()
    except KeyError as error:
        raise ValueError(f"{path} holds label {error.args[0]}, which Cityscapes does not have") from error
    instances = official.filterGtInstances(instances, parameters)
    with TemporaryDirectory() as folder:
        predictions = {}
        for number, (label_id, score, mask) in enumerate(zip(label_ids, scores, masks, strict=True)):
            file = str(Path(folder, f"{number}.png"))
            Image.fromarray(np.asarray(mask, dtype=bool)).save(file, compress_level=1)
            predictions[file] = {"labelID": int(label_id), "conf": float(score)}
        objects, predicted = official.assignGt2Preds(instances, truth, predictions, parameters)
    return {
        "groundTruth": {name: _without_extras(entries, "matchedPred") for name, entries in objects.items()},
        "prediction": {name: _without_extras(entries, "matchedGt") for name, entries in predicted.items()},
    }


def _without_extras(entries: list[dict[str, Any]], partners: str) -> list[dict[str, Any]]:
    def slim(entry: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in entry.items() if key in _FIELDS}

    return [{**slim(entry), partners: [slim(partner) for partner in entry[partners]]} for entry in entries]


def summarize_cityscapes(matches: Iterable[dict[str, Any]]) -> tuple[dict[str, float], dict[str, float]]:
    """AP from the matches of all images.

    Returns:
        ``AP`` and ``AP50``, means over the classes that occur, and the AP of each class by its official name;
        fractions, NaN where undefined.

    Raises:
        ImportError: the package is not installed.
    """
    official, parameters = _package()
    precision = official.evaluateMatches(dict(enumerate(matches)), parameters)[0]  # (classes, thresholds)
    names = parameters.instLabels
    at_50 = np.isclose(parameters.overlaps, 0.5)
    return (
        {"AP": _mean_of_defined(precision), "AP50": _mean_of_defined(precision[:, at_50])},
        {name: float(row.mean()) for name, row in zip(names, precision, strict=True)},
    )


def _mean_of_defined(values: np.ndarray) -> float:
    """As the package's, but without its warning where nothing is defined."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else math.nan
