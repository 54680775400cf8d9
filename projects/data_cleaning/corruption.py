"""Mistakes in a COCO panoptic set that are put there on purpose, so that one knows which segments are wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from omgseg.files import whole_file
from omgseg.structures.label_png import decode_panoptic_png, write_panoptic_png

SHARES = {"label": 0.03, "mask": 0.03, "empty": 0.005, "swap": 0.005}
"""Shares of all segments: another label, a shifted mask, no pixels, exchanged labels of two things of an image."""
SHIFT = (0.5, 1.0)
"""Bounds of the shift, as shares of the mask's width and height."""
KEPT = 0.2
"""Share of its pixels that a shifted mask keeps at least."""

Key = tuple[int, int]
"""Ids of an image and of a segment in it."""


class Dirt:
    """The mistakes of one file.

    Args:
        content: of the panoptic file; changed.
        folder: of its PNGs.
        seed: of what is chosen.

    Attributes:
        kinds: the kind of mistake of every wrong segment.
        maps: segment ids (H, W) of the images whose PNG changes.
    """

    def __init__(self, content: dict[str, Any], folder: Path, seed: int) -> None:
        self.kinds: dict[Key, str] = {}
        self.maps: dict[int, np.ndarray] = {}
        self._folder = folder
        self._random = np.random.default_rng(seed)
        self._things = {entry["id"]: bool(entry["isthing"]) for entry in content["categories"]}
        self._images = {entry["image_id"]: entry for entry in content["annotations"]}
        segments = [
            (image_id, segment)
            for image_id, entry in self._images.items()
            for segment in entry["segments_info"]
        ]
        order = self._random.permutation(len(segments))
        actions: dict[str, Callable[[int, dict[str, Any]], bool]] = {
            "label": self._other_label,
            "mask": self._shift,
            "empty": self._empty,
            "swap": self._swap,
        }
        for kind, action in actions.items():
            wanted = max(1, round(SHARES[kind] * len(segments)))
            for number in order:
                if sum(found == kind for found in self.kinds.values()) >= wanted:
                    break
                image_id, segment = segments[number]
                if (image_id, segment["id"]) not in self.kinds and action(image_id, segment):
                    self.kinds[image_id, segment["id"]] = kind

    def _other_label(self, image_id: int, segment: dict[str, Any]) -> bool:
        kind = self._things[segment["category_id"]]
        others = [
            number
            for number, thing in self._things.items()
            if thing == kind and number != segment["category_id"]
        ]
        segment["category_id"] = int(self._random.choice(others))
        return True

    def _swap(self, image_id: int, segment: dict[str, Any]) -> bool:
        """With another correct thing of the image, which is wrong then, too."""
        if not self._things[segment["category_id"]]:
            return False
        for other in self._images[image_id]["segments_info"]:
            differs = other["category_id"] != segment["category_id"] and self._things[other["category_id"]]
            if differs and (image_id, other["id"]) not in self.kinds:
                segment["category_id"], other["category_id"] = other["category_id"], segment["category_id"]
                self.kinds[image_id, other["id"]] = "swap"
                return True
        return False

    def _map(self, image_id: int) -> np.ndarray:
        if image_id not in self.maps:
            self.maps[image_id] = decode_panoptic_png(self._folder / self._images[image_id]["file_name"])
        return self.maps[image_id]

    def _empty(self, image_id: int, segment: dict[str, Any]) -> bool:
        ids = self._map(image_id)
        ids[ids == segment["id"]] = 0
        return True

    def _shift(self, image_id: int, segment: dict[str, Any]) -> bool:
        """A thing's mask, to where no other thing is; False where too little of it would be left."""
        if not self._things[segment["category_id"]]:
            return False
        ids = self._map(image_id)
        y, x = np.nonzero(ids == segment["id"])
        if not len(y):
            return False
        reach = np.array([np.ptp(y) + 1, np.ptp(x) + 1])
        signs = self._random.choice((-1, 1), 2)
        dy, dx = np.rint(signs * self._random.uniform(*SHIFT) * reach).astype(int)
        inside = (y + dy >= 0) & (y + dy < ids.shape[0]) & (x + dx >= 0) & (x + dx < ids.shape[1])
        rows, columns = (y + dy)[inside], (x + dx)[inside]
        stuff = [
            s["id"] for s in self._images[image_id]["segments_info"] if not self._things[s["category_id"]]
        ]
        free = np.isin(ids[rows, columns], [0, segment["id"], *stuff])
        if free.sum() < KEPT * len(y):
            return False
        ids[y, x] = 0
        ids[rows[free], columns[free]] = segment["id"]
        return True


def write_dirty(annotations: Path, name: str, dirty_name: str, seed: int) -> dict[Key, str]:
    """Write a panoptic set with mistakes beside the correct one, unless it is there.

    Args:
        annotations: folder with ``NAME.json`` and the PNGs in ``NAME/``.
        name, dirty_name: of the correct set and of the new one.
        seed: of what is chosen.

    Returns:
        The kind of mistake of every wrong segment.
    """
    listed = annotations / f"{dirty_name}_mistakes.json"
    if not listed.is_file():
        content = json.loads((annotations / f"{name}.json").read_text())
        dirt = Dirt(content, annotations / name, seed)
        for entry in content["annotations"]:
            ids = dirt.maps.get(entry["image_id"])
            if ids is None:
                ids = decode_panoptic_png(annotations / name / entry["file_name"])
            write_panoptic_png(annotations / dirty_name / entry["file_name"], ids)
        mistakes = [[*key, kind] for key, kind in dirt.kinds.items()]
        for file, data in (
            (annotations / f"{dirty_name}.json", content),
            (listed, mistakes),
        ):  # the list last
            with whole_file(file) as temporary:
                temporary.write_text(json.dumps(data))
    return {(image_id, segment_id): kind for image_id, segment_id, kind in json.loads(listed.read_text())}
