"""What the annotation index of a large COCO file costs: the first start, the next ones, and how both grow.

``python -m benchmarks.index FILE`` prints what one start of a dataset takes, as JSON.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.processes import environment, growth_of, run_fresh
from omgseg.datasets import CocoInstanceDataset
from omgseg.tables import markdown_table

SHARES = (9, 3, 1)
"""The largest size is divided by these."""
SAMPLES = 1000
"""That are read after a start, at random."""
NUM_CATEGORIES = 80
NUM_POLYGONS = 512
"""Different polygons, of 8 to 40 points; the mean length of an annotation is about that of COCO's."""


def write_file(path: Path, num_images: int, num_annotations: int) -> None:
    """A made-up file in the COCO instance format; annotations lie in random order, as COCO's do."""
    random = np.random.default_rng(0)
    polygons = [
        json.dumps(np.round(random.uniform(0, 480, 2 * count), 2).tolist())
        for count in random.integers(8, 41, NUM_POLYGONS)
    ]
    categories = [{"id": number, "name": f"word {number}"} for number in range(1, NUM_CATEGORIES + 1)]
    with open(path, "w") as file:
        file.write(f'{{"info": {{}}, "categories": {json.dumps(categories)}, "images": [')
        for number in range(num_images):
            file.write(
                f'{", " if number else ""}{{"license": 3, "file_name": "{number:012d}.jpg", "height": 480, '
                f'"width": 640, "date_captured": "2013-11-14 17:02:52", "id": {number}, "coco_url": '
                f'"http://images.cocodataset.org/train2017/{number:012d}.jpg"}}'
            )
        file.write('], "annotations": [')
        for start in range(0, num_annotations, 10_000):
            count = min(10_000, num_annotations - start)
            rows = zip(
                random.integers(num_images, size=count).tolist(),
                random.integers(1, NUM_CATEGORIES + 1, count).tolist(),
                random.integers(NUM_POLYGONS, size=count).tolist(),
                strict=True,
            )
            for number, (image, category, polygon) in enumerate(rows, start):
                file.write(
                    f'{", " if number else ""}{{"segmentation": [{polygons[polygon]}], "area": {100.5 + polygon}, '
                    f'"iscrowd": 0, "image_id": {image}, "bbox": [73.5, 41.25, 20.5, 30.75], '
                    f'"category_id": {category}, "id": {number}}}'
                )
        file.write("]}")


def anonymous_bytes() -> int:
    """Memory of this process that is no part of a file: what no other process shares, unless it was forked."""
    found = re.search(r"^Anonymous:\s+(\d+) kB$", Path("/proc/self/smaps_rollup").read_text(), re.MULTILINE)
    return 1024 * int(found[1])


def start(path: Path) -> dict[str, float]:
    """Open the dataset and read samples: seconds and bytes."""
    found: dict[str, float] = {}
    datasets = []

    def build() -> None:
        began = time.perf_counter()
        folder = str(path.parent)
        datasets.append(CocoInstanceDataset(ann_file=str(path), data_prefix=dict(img=folder)))
        found["seconds"] = time.perf_counter() - began

    before = anonymous_bytes()
    found["peak_bytes"] = growth_of(build)
    found["private_bytes"] = anonymous_bytes() - before
    chosen = np.random.default_rng(0).integers(len(datasets[0]), size=SAMPLES)
    began = time.perf_counter()
    for index in chosen.tolist():
        datasets[0].get_data_info(index)
    found["milliseconds_a_sample"] = 1e3 * (time.perf_counter() - began) / SAMPLES
    return found


def measure(num_images: int, num_annotations: int, folder: Path) -> dict[str, Any]:
    """A first and a second start on a file of this size, each in a fresh process."""
    file, cache = folder / "annotations.json", folder / "cache"
    write_file(file, num_images, num_annotations)
    time.sleep(3)  # files that have just changed are read again at each start
    starts = [
        json.loads(run_fresh(__spec__.name, [str(file)], f"the {name} start", OMGSEG_CACHE=str(cache)))
        for name in ("first", "second")
    ]
    return {
        "images": num_images,
        "annotations": num_annotations,
        "file_bytes": file.stat().st_size,
        "index_bytes": sum(path.stat().st_size for path in (cache / "annotation_index").glob("*.arrow")),
        "first": starts[0],
        "second": starts[1],
    }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--images", type=int, default=300_000, help="of the largest file (default 300000)")
    parser.add_argument("--annotations", type=int, default=4_000_000, help="likewise (default 4000000)")
    parser.add_argument("--folder", type=Path, help="of the files, 5 GB (default: the system's)")
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")


def run(args: argparse.Namespace) -> int:
    """Returns 0."""
    result: dict[str, Any] = {"environment": environment(), "sizes": []}
    for share in SHARES:
        size = (max(args.images // share, 1), max(args.annotations // share, 1))
        print(f"measuring {size[0]} images, {size[1]} annotations ...", flush=True)
        with tempfile.TemporaryDirectory(dir=args.folder) as folder:
            result["sizes"].append(measure(*size, Path(folder)))
    print("\n" + "\n".join(index_table(result["sizes"])))
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + "\n")
    return 0


def index_table(sizes: list[dict[str, Any]]) -> Iterator[str]:
    """Lines to print."""
    header = ("images", "annotations", "file MB", "index MB", "first start", "its peak MB")
    header += ("second start", "its private MB", "a sample")
    rows = [
        (
            f"{size['images']:,}",
            f"{size['annotations']:,}",
            f"{size['file_bytes'] / 2**20:.0f}",
            f"{size['index_bytes'] / 2**20:.1f}",
            f"{size['first']['seconds']:.1f} s",
            f"{size['first']['peak_bytes'] / 2**20:.0f}",
            f"{size['second']['seconds']:.2f} s",
            f"{size['second']['private_bytes'] / 2**20:.0f}",
            f"{size['second']['milliseconds_a_sample']:.2f} ms",
        )
        for size in sizes
    ]
    yield markdown_table(header, rows, right=range(len(header)))


def main(path: str) -> None:
    print(json.dumps(start(Path(path))))


if __name__ == "__main__":
    main(*sys.argv[1:])
