"""SA-1B: images full of masks without classes, for training with prompts."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from omgseg.datasets.base import SegmentationDataset
from omgseg.datasets.files import read_lines, require_folder
from omgseg.datasets.problems import collecting, read_all
from omgseg.registry import DATASETS
from omgseg.structures.label_png import image_size

HEAD_BYTES = 256
"""Enough of a JSON file for its first field, ``image``."""
_SIDE = re.compile(rb'"(width|height)": *(\d+)')


@DATASETS.register_module()
class SA1BDataset(SegmentationDataset):
    """Shards of SA-1B (https://ai.meta.com/datasets/segment-anything/) as the archives unpack.

    The folder ``img`` of ``data_prefix`` has ``sa_000000/`` ... with ``sa_<n>.jpg`` and ``sa_<n>.json`` side by side.
    The list of samples opens no JSON file further than to the image's size: a shard has 11,000.

    Args:
        ann_file: optional, a text file with the shards to take, one per line. Default: all that are there.
        max_masks: of an image with more masks, only so many are read, chosen at random. A photo of 3 megapixels has up
            to several hundred. None: all.
        seeded_masks: choose them as the published evaluation of EdgeSAM does, which is the same every time: with
            replacement, and with the number of the image as the seed.
    """

    README_ANCHOR = "sa-1b"
    SEG_FORMAT = "sa1b"
    SOURCE = "sa1b"
    TASKS = ("interactive",)
    PREFIXES = ("img",)
    CLASS_AGNOSTIC = True

    def __init__(
        self, *args: Any, max_masks: int | None = None, seeded_masks: bool = False, **kwargs: Any
    ) -> None:
        self.max_masks = max_masks
        self.seeded_masks = seeded_masks
        super().__init__(*args, **kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        root = Path(self.data_prefix["img"])
        if self.ann_file:
            shards = [root / name for name in read_lines(self.ann_file, self.README_ANCHOR, "shards")]
        else:
            shards = sorted(path for path in root.glob("sa_*") if path.is_dir())
        if not shards:
            raise FileNotFoundError(
                f"{root} has no folder sa_000000 ...; see data/README.md#{self.README_ANCHOR}"
            )
        entries: list[dict[str, Any]] = []
        for shard in shards:
            with collecting(str(shard)):
                entries += self._entries(require_folder(shard, self.README_ANCHOR))
        return entries

    def _entries(self, shard: Path) -> list[dict[str, Any]]:
        names = set(os.listdir(shard))
        images = sorted(name for name in names if name.endswith(".jpg"))
        if not images:
            raise FileNotFoundError(f"{shard} has no images; see data/README.md#{self.README_ANCHOR}")

        def entry(image: str) -> dict[str, Any]:
            stem = image.removesuffix(".jpg")
            img_path, json_path = f"{shard}/{image}", f"{shard}/{stem}.json"
            if f"{stem}.json" not in names:
                raise FileNotFoundError(
                    f"{json_path} not found, the masks of {image}; see data/README.md#{self.README_ANCHOR}"
                )
            width, height = _size(json_path) or image_size(img_path)
            frame = {"img_path": img_path, "img_id": stem, "frame_id": 0, "seg_map_path": json_path}
            return {"frames": [frame], "is_video": False, "height": height, "width": width}

        return read_all(entry, images, where=str(shard))

    def describe(self, idx: int) -> dict[str, Any]:
        choice = {"max_masks": self.max_masks, "seeded_masks": self.seeded_masks}
        return {**super().describe(idx), **choice}


def _size(json_path: str) -> tuple[int, int] | None:
    """(width, height) from the head of a file; None when it says them elsewhere."""
    with open(json_path, "rb") as file:
        found = dict(_SIDE.findall(file.read(HEAD_BYTES)))
    return (int(found[b"width"]), int(found[b"height"])) if len(found) == 2 else None
