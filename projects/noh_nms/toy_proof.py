"""The toy proof of NOH-NMS: a small Faster R-CNN finds overlapping things, and each NMS gets the same boxes.

python projects/noh_nms/toy_proof.py --seeds 0 1 --work-dir work_dirs/noh_nms_proof

One training for each seed serves all rows. A run that was interrupted goes on where it was; after a change of the
config, begin in another folder.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from torchvision.ops import box_iou

from omgseg.engine.benchmarks import run_benchmark
from omgseg.engine.config import one_line_errors
from omgseg.projects.noh_nms.crowd_human import read_odgt
from omgseg.toy.generate import generate_crowd
from omgseg.toy.proof import QUICK_ITERATIONS, prepared, say, train, write_numbers

CONFIG = Path(__file__).parent / "configs" / "toy.py"
COLUMNS = ("AP", "Recall", "MR")
THRESHOLDS = (0.4, 0.5, 0.6)
"""Of greedy NMS."""
ROWS: dict[str, dict[str, Any]] = {
    **{f"greedy, {threshold}": dict(method="greedy", iou_threshold=threshold) for threshold in THRESHOLDS},
    "Soft-NMS, linear": dict(method="soft_linear"),
    "Soft-NMS, Gaussian": dict(method="soft_gaussian"),
    "Adaptive-NMS": dict(method="adaptive"),
    "NOH-NMS": dict(method="noh"),
}
"""All but greedy NMS at the published threshold, 0.5. The density of Adaptive-NMS is the branch's probability."""
QUICK_IMAGES = 4


def crowding(file: Path) -> dict[str, float]:
    """Of the people that count: how many an image has, and the percentage that overlaps another by more than 0.5."""
    counts, near = [], 0
    for people in read_odgt(file).values():
        boxes = torch.from_numpy(people.boxes[~people.ignored])
        counts.append(len(boxes))
        near += int((box_iou(boxes, boxes).fill_diagonal_(0) > 0.5).any(1).sum())
    return {"people": float(np.mean(counts)), "overlapped": 100 * near / sum(counts)}


def evaluate(checkpoint: Path, folder: Path, nms: dict[str, Any]) -> dict[str, float]:
    """AP, recall and MR^-2 of the validation images, percent."""
    config = prepared(Config.fromfile(CONFIG), folder)
    config.load_from = str(checkpoint)
    config.model.test_cfg.rcnn.nms.update(nms)
    found = run_benchmark(config).metrics
    return {name: found[f"crowd_human/{name}"] for name in COLUMNS}


def main(argv: Sequence[str] | None = None) -> dict[str, list[dict[str, float]]]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1], help="of the trainings")
    parser.add_argument("--work-dir", type=Path, default=Path("work_dirs/noh_nms_proof"))
    parser.add_argument("--iterations", type=int, help="of each training (default: those of the config)")
    parser.add_argument("--quick", action="store_true", help="hardly any data and steps: shows that it runs")
    args = parser.parse_args(argv)
    folder = args.work_dir
    folder.mkdir(parents=True, exist_ok=True)
    toy = Path(os.environ.setdefault("OMGSEG_TOY", str(folder.resolve())))  # where configs look for data
    images = dict(train_images=QUICK_IMAGES, val_images=QUICK_IMAGES) if args.quick else {}
    data = generate_crowd(toy / "crowd", report=say, **images)
    crowd = crowding(data / "annotation_val.odgt")
    say(
        f"{crowd['people']:.1f} things an image, {crowd['overlapped']:.0f} % overlap another by more than 0.5"
    )
    checkpoints = []
    for seed in args.seeds:
        config = Config.fromfile(CONFIG)
        config.randomness.seed = seed
        iterations = QUICK_ITERATIONS if args.quick else args.iterations or config.max_iters
        checkpoints.append(train(config, folder / f"seed_{seed}", iterations))
    scores: dict[str, list[dict[str, float]]] = {}
    for title, nms in ROWS.items():
        scores[title] = [evaluate(one, folder / "test", nms) for one in checkpoints]
    say(f"\n{write_numbers(folder, scores, COLUMNS, seeds=args.seeds, crowd=crowd)}")
    return scores


if __name__ == "__main__":
    with one_line_errors():
        main()
