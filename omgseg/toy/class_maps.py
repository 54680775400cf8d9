"""Toy videos with a class a pixel, in the official layouts of VIPSeg and VSPW."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from omgseg.structures.vipseg_png import VOID_CLASS, write_vipseg_panomask
from omgseg.structures.vspw_png import write_vspw_mask
from omgseg.toy.annotation import annotate
from omgseg.toy.categories import VIPSEG_IDS, vipseg_vocabulary
from omgseg.toy.videos import Video
from omgseg.toy.world import render
from omgseg.toy.writers import write_image, write_json


def write_vipseg_categories(root: Path) -> None:
    """Write ``panoVIPSeg_categories.json``, the class list of the VIPSeg distribution, and the same as
    ``vocabulary.json`` for :meth:`omgseg.structures.Vocabulary.load`."""
    entries = [{**category.to_dict(), "supercategory": ""} for category in vipseg_vocabulary()]
    entries.sort(key=lambda entry: entry["id"])
    write_json(root / "panoVIPSeg_categories.json", entries)
    write_json(root / "vocabulary.json", {"categories": entries})


def write_vipseg(root: Path, split: str, videos: Sequence[Video]) -> None:
    """Write ``imgs/<video>/``, ``panomasks/<video>/`` and the list ``{split}.txt``."""
    to_vipseg = _vipseg_ids()
    names = []
    for video_id, (scene, length) in enumerate(videos):
        name = f"{split}_toy{video_id:04d}"
        names.append(name)
        for index in range(length):
            frame = render(scene, index)
            annotation = annotate(scene, frame)
            write_image(root / "imgs" / name / f"{index:08d}.jpg", frame.image)
            write_vipseg_panomask(
                root / "panomasks" / name / f"{index:08d}.png",
                to_vipseg[annotation.classes],
                annotation.instances,
            )
    _write_list(root, split, names)


def write_vspw(root: Path, split: str, videos: Sequence[Video]) -> None:
    """Write ``data/<video>/origin/``, ``data/<video>/mask/``, the list ``{split}.txt`` and
    ``label_num_dic_final.json``. Categories have VIPSeg's ids."""
    to_vipseg = _vipseg_ids()
    names = []
    for video_id, (scene, length) in enumerate(videos):
        name = f"{video_id}_{split}"
        names.append(name)
        for index in range(length):
            frame = render(scene, index)
            write_image(root / "data" / name / "origin" / f"{index:08d}.jpg", frame.image)
            write_vspw_mask(
                root / "data" / name / "mask" / f"{index:08d}.png",
                to_vipseg[annotate(scene, frame).classes],
            )
    _write_list(root, split, names)
    numbers = {category.name: category.id + 1 for category in vipseg_vocabulary()}
    write_json(root / "label_num_dic_final.json", {"others": 0, **numbers})


def _vipseg_ids() -> np.ndarray:
    """Lookup (256,): class in an annotation -> category id, ``VOID_CLASS`` for void."""
    table = np.full(256, VOID_CLASS, dtype=np.int32)
    for index, number in VIPSEG_IDS.items():
        table[index] = number
    return table


def _write_list(root: Path, split: str, names: Sequence[str]) -> None:
    (root / f"{split}.txt").write_text("\n".join(names) + "\n")
