"""The toy proof of MaskCLIP: semantic mIoU of the toy CLIP without any training on masks, plain and refined.

python projects/mask_clip/toy_proof.py --seeds 0 1 --corruptions noise blur contrast

Each seed has a toy CLIP and images of its own; a CLIP that is there is not trained again.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from mmengine.config import Config

from omgseg.engine.config import one_line_errors
from omgseg.evaluation.functional.semantic import confusion_matrix, summarize_confusion
from omgseg.inference import load
from omgseg.protocols import Request, Segmenter
from omgseg.structures import Task
from omgseg.toy.annotation import VOID, annotate
from omgseg.toy.categories import NAMES, vocabulary
from omgseg.toy.proof import make_clip, say, seed_table, write_text
from omgseg.toy.world import World, render

CONFIG = Path(__file__).parent / "configs" / "toy.py"
VARIANTS = {
    "plain": {},
    "+ prompt denoising": dict(denoising=0.5),
    "+ key smoothing": dict(smoothing=1.0),
    "+ both": dict(denoising=0.5, smoothing=1.0),
    "+ both, published keys": dict(denoising=0.5, smoothing=1.0, published=True),
}
"""The thresholds are those of the published MaskCLIP+."""
NOISE, BLUR, CONTRAST = 25.0, 2.0, 0.4
"""Standard deviations of the noise (of 255) and of the blur (pixels); the factor of the contrast."""
IMAGES, QUICK_IMAGES = 200, 2
FIRST_IMAGE_SEED = 1000
"""Images of no seed are among those that any toy CLIP is trained on."""

Sample = tuple[np.ndarray, np.ndarray]


def _noise(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return image + rng.normal(0, NOISE, image.shape)


def _blur(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return cv2.GaussianBlur(image, (0, 0), BLUR)


def _contrast(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return image.mean() + CONTRAST * (image - image.mean())


CORRUPTIONS: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "noise": _noise,
    "blur": _blur,
    "contrast": _contrast,
}


def corrupted(image: np.ndarray, name: str, seed: int) -> np.ndarray:
    """An image RGB uint8 (H, W, 3) with a corruption of :data:`CORRUPTIONS`."""
    changed = CORRUPTIONS[name](image.astype(np.float32), np.random.default_rng(seed))
    return changed.round().clip(0, 255).astype(np.uint8)


def sample_images(seed: int, count: int) -> list[Sample]:
    """Images RGB uint8 (S, S, 3) of all classes, and their classes uint8 (S, S), :data:`VOID` where nothing is."""
    world = World(np.random.default_rng(FIRST_IMAGE_SEED + seed))
    scenes = [world.image_scene() for _ in range(count)]
    frames = [render(scene) for scene in scenes]
    return [
        (frame.image, annotate(scene, frame).classes) for scene, frame in zip(scenes, frames, strict=True)
    ]


def mean_iou(model: Segmenter, samples: Sequence[Sample]) -> float:
    """mIoU of all words over the classes that occur in the ground truth, percent."""
    request = Request(Task.SEMANTIC, vocabulary())
    confusion = np.zeros((len(NAMES), len(NAMES) + 1), np.int64)
    for image, classes in samples:
        (found,) = model.predict([image], request)
        labels = np.where(found.label_map < 0, len(NAMES), found.label_map)
        confusion += confusion_matrix(classes, labels, len(NAMES), VOID, with_void=True)
    return 100 * summarize_confusion(confusion)["mIoU_gt"]


def evaluate(folder: Path, seed: int, corruptions: Sequence[str], quick: bool) -> dict[str, dict[str, float]]:
    """mIoU of each variant: variant -> "clean" and each corruption -> percent."""
    weights = folder / f"clip_{seed}.safetensors"
    make_clip(weights, seed, quick)
    clean = sample_images(seed, QUICK_IMAGES if quick else IMAGES)
    sets = {"clean": clean}
    for name in corruptions:
        sets[name] = [(corrupted(image, name, number), truth) for number, (image, truth) in enumerate(clean)]
    scores = {}
    for title, options in VARIANTS.items():
        config = Config.fromfile(CONFIG)
        config.segmenter.update(options)
        model = load(config, weights)
        scores[title] = {name: mean_iou(model, samples) for name, samples in sets.items()}
        say(f"seed {seed}, {title}: {scores[title]}")
    return scores


def table(runs: Sequence[Mapping[str, Mapping[str, float]]]) -> str:
    """Markdown: a row for each variant, with the mean over the runs and half of the range."""
    columns = list(next(iter(runs[0].values())))
    return seed_table({title: [run[title] for run in runs] for title in runs[0]}, columns)


def main(argv: Sequence[str] | None = None) -> list[dict[str, dict[str, float]]]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1], help="of the toy CLIPs and images")
    parser.add_argument("--corruptions", nargs="*", default=[], choices=list(CORRUPTIONS))
    parser.add_argument("--work-dir", type=Path, default=Path("work_dirs/mask_clip_proof"))
    parser.add_argument("--quick", action="store_true", help="hardly any data and steps: shows that it runs")
    args = parser.parse_args(argv)
    args.work_dir.mkdir(parents=True, exist_ok=True)
    os.environ["OMGSEG_TOY"] = str(args.work_dir.resolve())  # where the config keeps text embeddings
    runs = [evaluate(args.work_dir, seed, args.corruptions, args.quick) for seed in args.seeds]
    write_text(args.work_dir / "metrics.json", json.dumps(dict(seeds=args.seeds, runs=runs), indent=2))
    write_text(args.work_dir / "table.md", table(runs))
    say(f"\n{table(runs)}")
    return runs


if __name__ == "__main__":
    with one_line_errors():
        main()
