"""CrowdHuman: its annotation files, and the evaluation of people in crowds (AP, recall, MR^-2).

python projects/noh_nms/crowd_human.py annotation_val.odgt detections.json --images Images/

detections.json is a list in COCO's format of results: {"image_id": ID, "bbox": [x, y, w, h], "score": 0.9}.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from omgseg.engine.config import one_line_errors
from omgseg.tables import markdown_table

MATCHES = 0.5
"""Least overlap of a detection and a person, or of a detection with a region that is not counted."""
FALSE_ALARMS = 10.0 ** np.linspace(-2, 0, 9)
"""False alarms per image at which the miss rate is read: 0.01, 0.0178, ..., 1."""
LOWEST_MISS_RATE = 1e-10
"""Stands for 0, which has no logarithm."""


@dataclass(frozen=True)
class People:
    """What is annotated in an image.

    Attributes:
        boxes: float64 (N, 4), x1, y1, x2, y2 of whole bodies.
        ignored: bool (N,): regions in which detections do not count.
        heights: float64 (N,), of the annotated boxes.
        visibility: float64 (N,): the share of the body that is seen.
    """

    boxes: np.ndarray
    ignored: np.ndarray
    heights: np.ndarray
    visibility: np.ndarray

    def restricted(self, min_height: float = 0.0, min_visibility: float = 0.0) -> People:
        """With smaller and more hidden people as regions that are not counted."""
        hard = (self.heights < min_height) | (self.visibility < min_visibility)
        return People(self.boxes, self.ignored | hard, self.heights, self.visibility)


class Detections(NamedTuple):
    """Detections of an image: boxes float64 (N, 4), x1, y1, x2, y2, and scores (N,)."""

    boxes: np.ndarray
    scores: np.ndarray


def read_odgt(
    file: str | Path, sizes: Mapping[str, tuple[int, int]] | None = None, clip: bool = False
) -> dict[str, People]:
    """Read an annotation file of CrowdHuman, one JSON object per line.

    What is not a person, is marked as ignored, or has its centre outside of the image, is a region that is not counted.

    Args:
        file: ``annotation_train.odgt``, ``annotation_val.odgt``.
        sizes: image -> (height, width). None: centres outside of an image are not known, and nothing is clipped.
        clip: cut boxes at the image; needs `sizes`.

    Returns:
        Image -> people.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: a line is not valid, an image occurs twice, its size is missing, or there are no lines; names file
            and line.
    """
    if not Path(file).is_file():
        raise FileNotFoundError(f"{file} not found; CrowdHuman's annotations are annotation_*.odgt")
    found: dict[str, People] = {}
    with open(file, encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            where = f"{file}, line {number}"
            try:
                entry = json.loads(line)
                name = str(entry["ID"])
                rows = [_person(box) for box in entry["gtboxes"]]
            except (AttributeError, LookupError, TypeError, ValueError) as error:
                raise ValueError(f"{where} is not an image of CrowdHuman: {error!r}") from error
            if name in found:
                raise ValueError(f"{where}: the image {name} occurs twice")
            if sizes is not None and name not in sizes:
                raise ValueError(f"{where}: the size of the image {name} is not known; give all images")
            found[name] = _people(rows, None if sizes is None else sizes[name], clip)
    if not found:
        raise ValueError(f"{file} has no images; CrowdHuman's annotations have a line for each")
    return found


def _person(entry: Mapping[str, Any]) -> tuple[list[float], bool, float]:
    """Box (x, y, w, h), whether it is not counted, and the visible share."""
    ignored = entry["tag"] != "person" or entry.get("extra", {}).get("ignore", 0) == 1
    full = _box(entry["fbox"])
    if min(full[2:]) < 0:
        raise ValueError(f"the box {entry['fbox']} has a size below 0")
    seen = _box(entry["vbox"]) if "vbox" in entry else full
    return full, ignored, seen[2] * seen[3] / max(full[2] * full[3], 1e-9)


def _box(values: Sequence[float]) -> list[float]:
    x, y, width, height = map(float, values)
    if not np.isfinite([x, y, width, height]).all():
        raise ValueError(f"the box {values} is not x, y, width, height as finite numbers")
    return [x, y, width, height]


def _people(
    rows: Sequence[tuple[list[float], bool, float]], size: tuple[int, int] | None, clip: bool
) -> People:
    boxes = np.array([row[0] for row in rows], np.float64).reshape(-1, 4)
    ignored = np.array([row[1] for row in rows], bool)
    boxes[:, 2:] += boxes[:, :2]
    if size is not None:
        limits = np.array(size[::-1], np.float64)
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2
        ignored |= ((centres < 0) | (centres > limits)).any(1)
        if clip:
            boxes = np.clip(boxes, 0, np.tile(limits, 2))
    return People(boxes, ignored, boxes[:, 3] - boxes[:, 1], np.array([row[2] for row in rows], np.float64))


def image_sizes(folder: str | Path, names: Iterable[str]) -> dict[str, tuple[int, int]]:
    """(height, width) of the images ``NAME.jpg`` in a folder.

    Raises:
        FileNotFoundError: one is missing.
    """
    sizes = {}
    for name in names:
        path = Path(folder) / f"{name}.jpg"
        if not path.is_file():
            raise FileNotFoundError(f"{path} not found; --images is the folder of CrowdHuman's images")
        with Image.open(path) as image:
            sizes[name] = image.size[::-1]
    return sizes


def match(people: People, detections: Detections) -> tuple[np.ndarray, np.ndarray]:
    """Match the detections of an image by falling score.

    A detection takes the free person that it overlaps most (IoU at least :data:`MATCHES`; of equals the last). Else it
    is dropped where at least that share of it lies in a region that is not counted. Else it is a false alarm.

    Returns:
        Of the detections that count: whether they are hits, bool (K,), and scores (K,).
    """
    order = np.argsort(-detections.scores, kind="stable")
    persons, regions = people.boxes[~people.ignored], people.boxes[people.ignored]
    overlaps = _intersections(detections.boxes, persons)
    areas = _areas(detections.boxes)
    overlaps /= np.maximum(areas[:, None] + _areas(persons) - overlaps, 1e-9)
    inside = _intersections(detections.boxes, regions) / np.maximum(areas[:, None], 1e-9)
    dropped = (inside >= MATCHES).any(1)
    hits, scores = [], []
    for row in order.tolist():
        best = len(persons) - 1 - int(overlaps[row, ::-1].argmax()) if len(persons) else -1
        hit = best >= 0 and overlaps[row, best] >= MATCHES
        if hit:
            overlaps[:, best] = -1
        elif dropped[row]:
            continue
        hits.append(hit)
        scores.append(detections.scores[row])
    return np.array(hits, bool), np.array(scores, np.float64)


def _areas(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, 2:] - boxes[:, :2]).prod(1)


def _intersections(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    low = np.maximum(boxes[:, None, :2], others[:, :2])
    high = np.minimum(boxes[:, None, 2:], others[:, 2:])
    return (high - low).clip(0).prod(-1)


def evaluate(
    people: Mapping[Any, People], detections: Mapping[Any, Detections], published: bool = False
) -> dict[str, float]:
    """AP, recall and the log-average miss rate MR^-2 (Dollar et al., Pedestrian Detection, PAMI 2012) of all images.

    Args:
        people: image -> people.
        detections: image -> detections; images without any may be left out.
        published: with the mistakes of the published evaluation, see the README.

    Returns:
        ``AP``, ``Recall``, ``MR``: fractions.

    Raises:
        ValueError: detections are of an image that is not annotated, or no person counts.
    """
    if unknown := set(detections) - set(people):
        raise ValueError(f"the detections have the image {min(map(str, unknown))}, which is not annotated")
    number = sum(int((~one.ignored).sum()) for one in people.values())
    if not number:
        raise ValueError("there is no person that counts in the annotations, so nothing can be evaluated")
    nothing = Detections(np.zeros((0, 4)), np.zeros(0))
    matched = [match(one, detections.get(name, nothing)) for name, one in people.items()]
    hits, scores = (np.concatenate(parts) for parts in zip(*matched, strict=True))
    order = np.argsort(-scores, kind="stable")
    found, alarms = np.cumsum(hits[order]), np.cumsum(~hits[order])
    recall = found / number
    precision = found / (found + alarms + (0.001 if published else 0.0))
    read = recall_at(recall, alarms / len(people), published)
    misses = np.log(np.maximum(1 - read, LOWEST_MISS_RATE))
    return {
        "AP": _area(recall, precision, published),
        "Recall": float(recall[-1]) if len(recall) else 0.0,
        "MR": float(np.exp(misses.mean())),
    }


def _area(recall: np.ndarray, precision: np.ndarray, published: bool) -> float:
    """Below the curve, by trapezoids; the published one begins at the first detection."""
    if not len(recall):
        return 0.0
    if not published:
        recall, precision = np.append(0.0, recall), np.append(precision[0], precision)
    return float((np.diff(recall) * (precision[1:] + precision[:-1]) / 2).sum())


def recall_at(recall: np.ndarray, alarms: np.ndarray, published: bool = False) -> np.ndarray:
    """Recall at :data:`FALSE_ALARMS`: that of the last point with at most so many.

    Args:
        recall, alarms: (N,), rising: points by falling score; false alarms per image.
        published: where even the first point has more, the last recall is taken instead of 0.
    """
    if not len(recall):
        return np.zeros(len(FALSE_ALARMS))
    last = np.searchsorted(alarms, FALSE_ALARMS, side="right") - 1
    return recall[last] if published else np.where(last < 0, 0.0, recall[last])


def read_detections(file: str | Path) -> dict[str, Detections]:
    """Detections in COCO's format of results, by image.

    Raises:
        FileNotFoundError: the file does not exist.
        ValueError: it is not such a list, or a number is not finite.
    """
    if not Path(file).is_file():
        raise FileNotFoundError(f"{file} not found; it holds the detections in COCO's format of results")
    rows: dict[str, list[list[float]]] = {}
    try:
        for entry in json.loads(Path(file).read_text(encoding="utf-8")):
            x, y, width, height = entry["bbox"]
            rows.setdefault(entry["image_id"], []).append([x, y, x + width, y + height, entry["score"]])
        found = {name: np.array(values, np.float64) for name, values in rows.items()}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{file} is not a list of results in COCO's format: {error!r}") from error
    if wrong := [name for name, values in found.items() if not np.isfinite(values).all()]:
        raise ValueError(f"{file}: a box or a score of the image {wrong[0]} is not a finite number")
    return {name: Detections(values[:, :4], values[:, 4]) for name, values in found.items()}


def main(argv: Sequence[str] | None = None) -> dict[str, float]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("annotations", type=Path, help="annotation_val.odgt")
    parser.add_argument("detections", type=Path, help="JSON, COCO's format of results")
    parser.add_argument(
        "--images", type=Path, help="folder of the images: people with a centre outside are not counted"
    )
    parser.add_argument(
        "--clip", action="store_true", help="cut annotated boxes at the image; needs --images"
    )
    parser.add_argument(
        "--min-height", type=float, default=0.0, help="in pixels; smaller people are not counted"
    )
    parser.add_argument(
        "--min-visibility", type=float, default=0.0, help="0..1; more hidden people are not counted"
    )
    parser.add_argument(
        "--published", action="store_true", help="with the mistakes of the published evaluation"
    )
    args = parser.parse_args(argv)
    if args.clip and args.images is None:
        parser.error("--clip needs --images")
    try:
        scores = _evaluate_files(args)
    except ValueError as error:
        sys.exit(str(error))
    print(markdown_table(list(scores), [[f"{100 * value:.1f}" for value in scores.values()]], right=range(3)))
    return scores


def _evaluate_files(args: argparse.Namespace) -> dict[str, float]:
    people = read_odgt(args.annotations)
    if args.images is not None:
        people = read_odgt(args.annotations, image_sizes(args.images, people), args.clip)
    people = {name: one.restricted(args.min_height, args.min_visibility) for name, one in people.items()}
    return evaluate(people, read_detections(args.detections), args.published)


if __name__ == "__main__":
    with one_line_errors():
        main()
