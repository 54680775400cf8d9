"""YOLACT on the toy world: mask AP with each NMS, their time, frames per second and flicker beside another model.

python projects/yolact/toy_proof.py --seeds 0 1 --beside work_dirs/demo/train --work-dir work_dirs/yolact_proof

Flicker is the share of the objects of a frame of which the next frame shows none of the same class with a mask of at
least half the IoU: identities do not count, and the truth's own flicker says how much of it is motion. A run that was
interrupted goes on where it was.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from pycocotools import mask as coco_mask

from omgseg import recipes
from omgseg.engine.benchmarks import run_benchmark
from omgseg.engine.config import one_line_errors
from omgseg.inference import load
from omgseg.inference.frame_by_frame import FrameByFrame
from omgseg.projects.yolact.detection import NMS, DetectionConfig, find_objects
from omgseg.protocols import Request, Segmenter, VideoModel
from omgseg.registry import DATASETS
from omgseg.structures import Segments, Task, Vocabulary
from omgseg.structures.run_lengths import encode_masks
from omgseg.tables import markdown_table
from omgseg.toy.generate import TINY, generate
from omgseg.toy.proof import QUICK_ITERATIONS, prepared, say, train, write_text

CONFIG = Path(__file__).parent / "configs" / "toy.py"
AP = "coco_instance/AP"
MIN_SCORE, MIN_IOU = 0.3, 0.5
"""Of objects that flicker can be seen of, and of masks that are the same object's."""
ANCHORS, CLASSES, CANDIDATES, REPEATS = 19248, 80, 2000, 10
"""Of the published COCO models, anchors above the threshold, and measured calls."""


def mask_ap(checkpoint: Path, folder: Path, nms: str) -> float:
    """Mask AP of the validation images, percent."""
    config = prepared(Config.fromfile(CONFIG), folder)
    config.load_from, config.model.test_cfg = str(checkpoint), dict(nms=nms)
    return run_benchmark(config).metrics[AP]


def nms_milliseconds(repeats: int) -> dict[str, float]:
    """Median time of the processor, of all threads, that each NMS takes on made-up outputs of the published size:
    objects with many similar boxes each."""
    random = torch.Generator().manual_seed(0)
    centres = torch.rand(CANDIDATES // 20, 1, 2, generator=random).expand(-1, 20, -1).flatten(0, 1)
    boxes = torch.rand(ANCHORS, 4, generator=random) * 0.2
    boxes[:CANDIDATES, :2] = centres + torch.randn(CANDIDATES, 2, generator=random) * 0.02
    boxes[:, 2:] += boxes[:, :2]
    scores = torch.full((ANCHORS, CLASSES), 1e-4)
    scores[:CANDIDATES] = torch.randn(CANDIDATES, CLASSES, generator=random).mul(4).softmax(-1)
    times: dict[str, list[float]] = {nms: [] for nms in NMS}
    for _ in range(repeats):
        for nms in NMS:  # taking turns
            start = time.process_time()
            find_objects(boxes, scores, DetectionConfig(nms=nms))
            times[nms].append(1000 * (time.process_time() - start))
    return {nms: statistics.median(of_nms) for nms, of_nms in times.items()}


def videos(toy: Path, limit: int | None) -> list[tuple[list[np.ndarray], list[Segments]]]:
    """Frames and true objects of the validation videos."""
    loader = recipes.test_loader(
        "YouTubeVISDataset",
        str(toy / "data" / "youtube_vis_2019"),
        img="valid/JPEGImages/",
        ann_file="annotations/youtube_vis_2019_valid.json",
    )
    dataset = DATASETS.build({**loader["dataset"], "pipeline": recipes.LOAD})
    found = []
    for index in range(len(dataset) if limit is None else limit):
        stored = dataset.prepare_data(index)
        truth = []
        for frame in range(len(stored["imgs"])):
            masks = stored["gt_masks"][:, frame].astype(bool)
            rows = np.flatnonzero(masks.any((1, 2)))
            labels = stored["gt_labels"][rows]
            of_frame = dict(labels=labels, scores=np.ones(len(rows)), vocabulary=dataset.vocabulary)
            truth.append(Segments(Task.INSTANCE, masks.shape[1:], encode_masks(masks[rows]), **of_frame))
        found.append((stored["imgs"], truth))
    return found


def flicker(frames: Sequence[Segments]) -> tuple[int, int]:
    """Objects of all frames but the last that the next frame does not show, and all of them."""
    lost = count = 0
    for frame, following in zip(frames, frames[1:], strict=False):
        count += len(frame)
        if not len(frame) or not len(following):
            lost += len(frame)
            continue
        iou = np.asarray(coco_mask.iou(frame.rles, following.rles, [0] * len(following)))
        same = frame.labels[:, None] == following.labels
        lost += int(((iou * same).max(1) < MIN_IOU).sum())
    return lost, count


def watch(models: Mapping[str, Segmenter], clips: Sequence[tuple[list[np.ndarray], list[Segments]]]):
    """Rows of the table of videos: frames per second (median of videos, models taking turns), flicker (percent) and
    objects a frame."""
    times: dict[str, list[float]] = {name: [] for name in models}
    counts = {name: np.zeros(2, int) for name in (*models, "truth")}
    shown = dict.fromkeys(counts, 0)
    total = sum(len(images) for images, _ in clips)
    for images, truth in clips:
        answers = {"truth": truth}
        for name, model in models.items():
            video = model if isinstance(model, VideoModel) else FrameByFrame(model)
            words: Vocabulary = model.abilities.vocabulary.things()
            start = time.perf_counter()
            answers[name] = video.predict_video(images, Request(Task.INSTANCE, words, MIN_SCORE))
            times[name].append(len(images) / (time.perf_counter() - start))
        for name, frames in answers.items():
            sure = [frame.select(frame.scores >= MIN_SCORE) for frame in frames]
            counts[name] += flicker(sure)
            shown[name] += sum(map(len, sure))
    rows = []
    for name, (lost, count) in counts.items():
        speed = None if name == "truth" else f"{statistics.median(times[name]):.1f}"
        rows.append((name, speed, f"{100 * lost / max(count, 1):.1f}", f"{shown[name] / total:.2f}"))
    return rows


def prove(seeds: Sequence[int], folder: Path, beside: Path | None, quick: bool) -> str:
    """Train and measure everything; the tables as markdown."""
    toy = Path(os.environ.setdefault("OMGSEG_TOY", str(folder.resolve())))  # where configs look for data
    generate(toy / "data", sizes=TINY if quick else None, report=say)
    others = {} if beside is None else {str(beside): load(beside, device="cpu")}  # fails before the trainings
    iterations = QUICK_ITERATIONS if quick else Config.fromfile(CONFIG).max_iters
    checkpoints = {}
    for seed in seeds:
        config = Config.fromfile(CONFIG)
        config.randomness.seed = seed
        checkpoints[seed] = train(config, folder / f"seed_{seed}", iterations)
    times = nms_milliseconds(1 if quick else REPEATS)
    rows = []
    for nms in NMS:
        of_seeds = [mask_ap(checkpoint, folder / "test", nms) for checkpoint in checkpoints.values()]
        rows.append((nms, *(f"{ap:.1f}" for ap in of_seeds), f"{times[nms]:.1f}"))
    header = ("NMS", *(f"mask AP, seed {seed}" for seed in seeds), "ms at the published size")
    accuracy = markdown_table(header, rows, right=range(1, len(header)))
    models = {
        f"YOLACT, seed {seed}": load(CONFIG, checkpoint, "cpu") for seed, checkpoint in checkpoints.items()
    }
    models |= others
    header = ("model", "frames per second", "flicker, %", "objects a frame")
    seen = markdown_table(header, watch(models, videos(toy, 2 if quick else None)), right=(1, 2, 3))
    return f"{accuracy}\n\n{seen}"


def main(argv: Sequence[str] | None = None) -> str:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--work-dir", type=Path, default=Path("work_dirs/yolact_proof"))
    parser.add_argument("--beside", type=Path, metavar="RUN", help="folder of the training of another model")
    parser.add_argument("--quick", action="store_true", help="hardly any data and steps: shows that it runs")
    args = parser.parse_args(argv)
    if args.beside is not None and not args.beside.is_dir():
        raise FileNotFoundError(f"--beside {args.beside} not found")
    args.work_dir.mkdir(parents=True, exist_ok=True)
    tables = prove(args.seeds, args.work_dir, args.beside, args.quick)
    write_text(args.work_dir / "table.md", tables)
    say(tables)
    return tables


if __name__ == "__main__":
    with one_line_errors():
        main()
