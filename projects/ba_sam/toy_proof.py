"""The toy proof of BA-SAM: a SAM that was trained with small pictures, and the same pictures drawn larger.

python projects/ba_sam/toy_proof.py --work-dir work_dirs/ba_sam_proof

It trains the SAM of configs/toy/sam.py, unless its weights are given, and tests it on validation pictures of the toy
world drawn with 128 to 512 pixels: plain, with the scaling factor, with the penalty of distance, and with both.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from mmengine.config import Config

from omgseg.engine.config import one_line_errors
from omgseg.evaluation.functional.interactive import centre_of
from omgseg.files import whole_file
from omgseg.inference import load
from omgseg.projects.edge_sam.toy_proof import TEACHER
from omgseg.protocols import Prompts
from omgseg.structures.run_lengths import decode_masks
from omgseg.tables import markdown_table
from omgseg.toy.annotation import annotate
from omgseg.toy.categories import NUM_THINGS, is_base
from omgseg.toy.generate import TINY, generate
from omgseg.toy.proof import QUICK_ITERATIONS, say, train, write_text
from omgseg.toy.world import SIZE, Scene, World, render

SIZES = (128, 192, 256, 384, 512)
"""Sides of the pictures in pixels; the first is that of the training."""
PENALTY = 0.02
"""Of a cell of distance; the best of 0.005, 0.02, 0.08, 0.3 and 1 on 12 training pictures, drawn with 512 pixels."""
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "scaling factor": dict(scale_attention=True),
    "penalty": dict(distance_penalty=PENALTY),
    "both": dict(scale_attention=True, distance_penalty=PENALTY),
}
PROMPTS = ("box", "centre")
QUICK_PICTURES = 2
VALIDATION, TRAINED = 1, 0
"""Numbers of the parts of the toy world's COCO."""


class Picture(NamedTuple):
    """A drawn scene: RGB uint8 (S, S, 3), and the masks bool (N, S, S) of its objects."""

    image: np.ndarray
    masks: np.ndarray


def scenes(count: int, part: int = VALIDATION) -> list[Scene]:
    """The first scenes of a part of the toy world's COCO."""
    base = [index for index in range(NUM_THINGS) if is_base(index)]
    world = World(np.random.default_rng((0, part)), base)
    return [world.image_scene() for _ in range(count)]


def drawn(scene: Scene, size: int) -> Picture:
    """A scene with `size` pixels a side, and the objects that are annotated at the size of the training."""
    wanted = {(one.category, one.instance) for one in annotate(scene, render(scene)).segments()}
    frame = render(scene, scale=size / SIZE)
    segments = annotate(scene, frame).segments()
    masks = [one.mask for one in segments if (one.category, one.instance) in wanted]
    return Picture(frame.image, np.stack(masks))


def larger(config: Config, size: int, **options: Any) -> Config:
    """The config of the trained model for pictures of another size, enlarged as much as in the training."""
    config = config.copy()
    trained = config.image_size
    side = size * trained // SIZE
    config.model.image_encoder.update(image_size=side, trained_size=trained, **options)
    config.model.prompt_encoder.image_size = side
    config.segmenter = dict(single_mask=True)  # as in the protocol of the small SAMs
    return config


def mean_overlaps(config: Config, weights: Path, pictures: Sequence[Picture]) -> dict[str, float]:
    """The mean IoU of all objects with each kind of prompt, percent."""
    model = load(config, weights, device="cpu")
    overlaps: dict[str, list[np.ndarray]] = {kind: [] for kind in PROMPTS}
    for image, masks in pictures:
        state = model.encode_image(image)
        centres = np.array([centre_of(mask) for mask in masks], np.float32).reshape(-1, 1, 2) + 0.5
        boxes = np.array([_box(mask) for mask in masks], np.float32)
        for kind, prompts in (("box", Prompts(boxes=boxes)), ("centre", Prompts(centres))):
            found = decode_masks(model.segment_prompts(state, prompts).rles, image.shape[:2])
            overlaps[kind].append((found & masks).sum((1, 2)) / (found | masks).sum((1, 2)))
    return {kind: float(100 * np.concatenate(values).mean()) for kind, values in overlaps.items()}


def _box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Outer edges of a mask's first and last pixels."""
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1


def measure(weights: Path, sizes: Sequence[int], count: int, part: int) -> dict[str, dict[str, list[float]]]:
    """mIoU by variant and prompt, a value for each size."""
    config, drawings = Config.fromfile(TEACHER), scenes(count, part)
    scores: dict[str, dict[str, list[float]]] = {name: {kind: [] for kind in PROMPTS} for name in VARIANTS}
    for size in sizes:
        pictures = [drawn(scene, size) for scene in drawings]
        for name, options in VARIANTS.items():
            found = mean_overlaps(larger(config, size, **options), weights, pictures)
            for kind, value in found.items():
                scores[name][kind].append(value)
            say(
                f"{size} pixels, {name}: " + ", ".join(f"{kind} {value:.1f}" for kind, value in found.items())
            )
    return scores


def table(scores: Mapping[str, Mapping[str, Sequence[float]]], sizes: Sequence[int]) -> str:
    """Markdown: a row for each variant and prompt, a column for each size."""
    rows = [
        (name, kind, *(f"{value:.1f}" for value in values))
        for name, kinds in scores.items()
        for kind, values in kinds.items()
    ]
    return markdown_table(("", "prompt", *map(str, sizes)), rows, right=range(2, 2 + len(sizes)))


def curve(scores: Mapping[str, Mapping[str, Sequence[float]]], sizes: Sequence[int], file: Path) -> None:
    """Draw the table: a panel for each prompt."""
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, kind in zip(figure.subplots(1, len(PROMPTS), sharey=True), PROMPTS, strict=True):
        for name, kinds in scores.items():
            axes.plot(sizes, kinds[kind], marker="o", label=name)
        axes.set(title=kind, xlabel="pixels of the picture's side", ylabel="mIoU", xticks=list(sizes))
        axes.legend()
    with whole_file(file) as temporary:
        figure.savefig(temporary, format="png")


def main(argv: Sequence[str] | None = None) -> dict[str, dict[str, list[float]]]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work-dir", type=Path, default=Path("work_dirs/ba_sam_proof"))
    parser.add_argument("--weights", type=Path, metavar="FILE", help="trained weights of configs/toy/sam.py")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="of the pictures, in pixels")
    parser.add_argument("--pictures", type=int, default=60, help="how many (default: the validation images)")
    parser.add_argument("--training-pictures", action="store_true", help="test on those of the training")
    parser.add_argument("--quick", action="store_true", help="hardly any steps: shows that it runs")
    args = parser.parse_args(argv)
    if args.weights is not None and not args.weights.is_file():
        raise FileNotFoundError(f"--weights {args.weights} not found")
    if wrong := [size for size in args.sizes if size % 64 or size < SIZE]:
        raise ValueError(f"--sizes {wrong[0]} is no multiple of 64 from {SIZE} on")
    args.work_dir.mkdir(parents=True, exist_ok=True)
    weights = args.weights
    if weights is None:
        toy = Path(os.environ.setdefault("OMGSEG_TOY", str(args.work_dir.resolve())))
        generate(toy / "data", sizes=TINY if args.quick else None, report=say)
        config = Config.fromfile(TEACHER)
        weights = train(config, args.work_dir / "sam", QUICK_ITERATIONS if args.quick else config.max_iters)
    torch.manual_seed(0)
    part = TRAINED if args.training_pictures else VALIDATION
    scores = measure(weights, args.sizes, QUICK_PICTURES if args.quick else args.pictures, part)
    text = table(scores, args.sizes)
    content = dict(sizes=list(args.sizes), penalty=PENALTY, scores=scores)
    write_text(args.work_dir / "metrics.json", json.dumps(content, indent=2))
    write_text(args.work_dir / "table.md", text)
    curve(scores, args.sizes, args.work_dir / "curve.png")
    say(f"\n{text}\n\n{args.work_dir / 'curve.png'}")
    return scores


if __name__ == "__main__":
    with one_line_errors():
        main()
