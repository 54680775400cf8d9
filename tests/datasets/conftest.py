"""Tiny datasets in the official formats."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from omgseg.structures.label_png import write_panoptic_png, write_vipseg_panomask
from omgseg.structures.run_lengths import encode_masks

CATEGORIES = [
    {"id": 1, "name": "cat", "isthing": 1},
    {"id": 5, "name": "dog", "isthing": 1},
    {"id": 9, "name": "sky", "isthing": 0},
]
HEIGHT, WIDTH = 40, 60


def make_image(path: Path, height: int = HEIGHT, width: int = WIDTH, seed: int = 0) -> None:
    """A noisy JPEG (noise keeps it large enough to truncate)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


class CocoFiles:
    """Panoptic images: sky (id 3000) with a cat (id 70000, a square), a dog (id 258) and a crowd of cats (id
    9)."""

    def __init__(self, root: Path, sizes: list[tuple[int, int]]) -> None:
        self.root = root
        self.images, self.annotations = [], []
        for index, (height, width) in enumerate(sizes):
            name = f"{index:03d}"
            make_image(root / "images" / f"{name}.jpg", height, width, index)
            ids = np.full((height, width), 3000)
            ids[10:20, 10:30] = 70000
            ids[25:35, 5:15] = 258
            ids[:5, :5] = 9
            ids[-1, -1] = 0
            write_panoptic_png(root / "panoptic" / f"{name}.png", ids)
            segments = [(3000, 9, 0), (70000, 1, 0), (258, 5, 0), (9, 1, 1)]
            info = [{"id": i, "category_id": c, "iscrowd": crowd} for i, c, crowd in segments]
            image = {"id": index, "file_name": f"{name}.jpg", "height": height, "width": width}
            self.images.append(image)
            self.annotations.append({"image_id": index, "file_name": f"{name}.png", "segments_info": info})
        self.write()

    def write(self) -> None:
        content = {"images": self.images, "annotations": self.annotations, "categories": CATEGORIES}
        (self.root / "panoptic.json").write_text(json.dumps(content))

    @property
    def config(self) -> dict[str, Any]:
        prefix = dict(img="images/", seg="panoptic/")
        return dict(data_root=str(self.root), ann_file="panoptic.json", data_prefix=prefix)


@pytest.fixture
def coco_files(tmp_path: Path) -> CocoFiles:
    return CocoFiles(tmp_path / "coco", [(HEIGHT, WIDTH)] * 3)


class YouTubeFiles:
    """One video of 4 frames: track 7 (dog) moves right and is gone in frame 2, track 8 (cat) is in frame 3
    only."""

    def __init__(self, root: Path, num_frames: int = 4) -> None:
        self.root = root
        names = [f"clip/{t:05d}.jpg" for t in range(num_frames)]
        for t, name in enumerate(names):
            make_image(root / "JPEGImages" / name, seed=t)
        tracks: dict[int, list[Any]] = {7: [], 8: []}
        for t in range(num_frames):
            tracks[7].append(None if t == 2 else uncompressed_rle((10, 20), (10 * t, 10 * t + 10)))
            tracks[8].append(uncompressed_rle((0, 5), (0, 5)) if t == 3 else None)
        self.content: dict[str, Any] = {
            "videos": [
                {"id": 3, "file_names": names, "height": HEIGHT, "width": WIDTH, "length": num_frames}
            ],
            "categories": CATEGORIES[:2],
            "annotations": [
                {
                    "id": index,
                    "video_id": 3,
                    "category_id": category,
                    "iscrowd": 0,
                    "segmentations": tracks[index],
                }
                for index, category in ((7, 5), (8, 1))
            ],
        }
        self.write()

    def write(self) -> None:
        (self.root / "train.json").write_text(json.dumps(self.content))

    @property
    def config(self) -> dict[str, Any]:
        return dict(data_root=str(self.root), ann_file="train.json", data_prefix=dict(img="JPEGImages/"))


def uncompressed_rle(rows: tuple[int, int], columns: tuple[int, int]) -> dict[str, Any]:
    """The encoding of a rectangle, as in the official files: counts in column order, zeros first."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[slice(*rows), slice(*columns)] = 1
    flat = mask.ravel(order="F")
    edges = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff([0, *edges, flat.size]).tolist()
    return {"counts": [0, *counts] if flat[0] else counts, "size": [HEIGHT, WIDTH]}


@pytest.fixture
def youtube_files(tmp_path: Path) -> YouTubeFiles:
    return YouTubeFiles(tmp_path / "youtube_vis")


@pytest.fixture
def vipseg_config(tmp_path: Path) -> dict[str, Any]:
    """Two videos of 3 frames: sky (28), and a person (60) with instance 4 moving right; rows 0..1 are
    void."""
    root = tmp_path / "VIPSeg"
    for video in ("1_a", "2_b"):
        for t in range(3):
            make_image(root / "imgs" / video / f"{t:08d}.jpg", seed=t)
            classes, instances = np.full((HEIGHT, WIDTH), 28), np.zeros((HEIGHT, WIDTH), int)
            classes[:2] = 255
            classes[10:20, 10 * t : 10 * t + 10] = 60
            instances[10:20, 10 * t : 10 * t + 10] = 4
            write_vipseg_panomask(root / "panomasks" / video / f"{t:08d}.png", classes, instances)
    (root / "train.txt").write_text("1_a\n2_b\n")
    return dict(data_root=str(root), ann_file="train.txt", data_prefix=dict(img="imgs/", seg="panomasks/"))


@pytest.fixture
def davis_config(tmp_path: Path) -> dict[str, Any]:
    """One sequence of 3 frames with objects 1 and 2, and void (255)."""
    root = tmp_path / "DAVIS"
    for t in range(3):
        make_image(root / "JPEGImages/480p/run" / f"{t:05d}.jpg", seed=t)
        ids = np.zeros((HEIGHT, WIDTH), np.uint8)
        ids[5:15, 5:15], ids[20:30, 20 + t : 30 + t], ids[-1] = 1, 2, 255
        mask = Image.fromarray(ids, mode="P")
        mask.putpalette([value for index in range(256) for value in (index, 255 - index, 0)])
        path = root / "Annotations/480p/run" / f"{t:05d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        mask.save(path)
    (root / "ImageSets/2017").mkdir(parents=True)
    (root / "ImageSets/2017/val.txt").write_text("run\n")
    prefix = dict(img="JPEGImages/480p", seg="Annotations/480p")
    return dict(data_root=str(root), ann_file="ImageSets/2017/val.txt", data_prefix=prefix)


class InstanceFiles:
    """Image 4 with a dog thrice in the same place (polygon, both run lengths), a cat of two parts and a crowd; image 7
    with a crowd alone; image 9 with nothing."""

    SQUARE = [30, 10, 40, 10, 40, 20, 30, 20]
    """The pixels [10:20, 30:40] as a polygon."""

    def __init__(self, root, name="{}.jpg"):
        self.root = root
        images = [
            {"id": i, "file_name": name.format(i), "height": 40, "width": 60, "license": 1} for i in (4, 7, 9)
        ]
        square = np.zeros((40, 60), bool)
        square[10:20, 30:40] = True
        parts = [self.SQUARE, [0, 0, 5, 0, 5, 5, 0, 5]]
        crowd = uncompressed_rle((0, 40), (0, 60))
        rows = [
            (11, 4, 5, [self.SQUARE], 0),
            (12, 4, 5, encode_masks([square])[0], 0),
            (13, 4, 5, uncompressed_rle((10, 20), (30, 40)), 0),
            (14, 4, 1, parts, 0),
            (15, 4, 1, crowd, 1),
            (16, 7, 1, crowd, 1),
        ]
        fields = ("id", "image_id", "category_id", "segmentation", "iscrowd")
        self.content = {
            "images": images,
            "annotations": [dict(zip(fields, row, strict=True), bbox=[0, 0, 1, 1], area=1.0) for row in rows],
            "categories": [{"id": 1, "name": "cat"}, {"id": 5, "name": "dog"}],
        }
        self.write()

    def write(self):
        self.root.mkdir(exist_ok=True)
        (self.root / "instances.json").write_text(json.dumps(self.content))

    def picture(self, name, height=40, width=60):
        make_image(self.root / name, height, width)

    @property
    def config(self):
        return dict(data_root=str(self.root), ann_file="instances.json", data_prefix=dict(img="images/"))


@pytest.fixture
def instance_files():
    """The class, for files in other places."""
    return InstanceFiles


@pytest.fixture
def files(tmp_path):
    files = InstanceFiles(tmp_path / "own")
    for index in (4, 7, 9):
        files.picture(f"images/{index}.jpg")
    return files
