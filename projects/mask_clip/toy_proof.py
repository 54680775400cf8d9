"""The toy proof of MaskCLIP and MaskCLIP+: semantic mIoU with the toy CLIP, without annotations and with some.

python projects/mask_clip/toy_proof.py --seeds 0 1 --corruptions noise blur contrast

Each seed has a toy CLIP and images of its own. A run that was interrupted goes on where it was; after a change of the
configs, begin in another folder.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmengine.config import Config

from omgseg.cli.main import main as command
from omgseg.engine.config import one_line_errors
from omgseg.evaluation.functional.semantic import (
    confusion_matrix,
    summarize_confusion,
    summarize_zero_shot,
)
from omgseg.inference import load
from omgseg.protocols import Request, Segmenter
from omgseg.structures import Task
from omgseg.structures.label_png import write_png
from omgseg.toy.annotation import VOID, annotate
from omgseg.toy.categories import COCO_IDS, NAMES, NOVEL_THINGS, vocabulary
from omgseg.toy.proof import make_clip, say, seed_table, train, write_text
from omgseg.toy.world import World, render
from omgseg.toy.writers import write_image

CONFIGS = Path(__file__).parent / "configs"
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
IMAGES, TRAIN_IMAGES = 100, 400
"""Of the evaluation, and of the trainings."""
QUICK_IMAGES, QUICK_TRAIN_IMAGES, QUICK_ITERATIONS = 2, 20, 2
FIRST_IMAGE_SEED = 1000
"""Images of no seed are among those that any toy CLIP is trained on."""

Sample = tuple[np.ndarray, np.ndarray]
Scores = dict[str, dict[str, float]]
"""Row -> column -> percent."""
TABLES = {
    "refinements": "mIoU without any annotation",
    "zero_shot": "mIoU without labels of the novel things",
    "teaching": "mIoU of supervised trainings",
}
"""Key of a table, and its title."""


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


def confusion_of(model: Segmenter, samples: Sequence[Sample]) -> np.ndarray:
    """Pixels of each true class and each word, (C, C + 1); the last column has those without a word."""
    request = Request(Task.SEMANTIC, vocabulary())
    confusion = np.zeros((len(NAMES), len(NAMES) + 1), np.int64)
    for image, classes in samples:
        (found,) = model.predict([image], request)
        labels = np.where(found.label_map < 0, len(NAMES), found.label_map)
        confusion += confusion_matrix(classes, labels, len(NAMES), VOID, with_void=True)
    return confusion


def mean_iou(model: Segmenter, samples: Sequence[Sample]) -> float:
    """mIoU of all words over the classes that occur in the ground truth, percent."""
    return 100 * summarize_confusion(confusion_of(model, samples))["mIoU_gt"]


def write_images(folder: Path, samples: Sequence[Sample]) -> None:
    """Write ``images/`` and ``masks/``, whose pixels are category ids, in the layout of ``MaskFolderDataset``."""
    for number, (image, classes) in enumerate(samples):
        write_image(folder / "images" / f"{number:04d}.jpg", image)
        ids = np.where(classes == VOID, VOID, classes.astype(np.int64) + COCO_IDS[0])
        write_png(folder / "masks" / f"{number:04d}.png", ids.astype(np.uint8))


class Proof:
    """One seed.

    Args:
        folder: gets the CLIP, the images and the trainings.
        seed: of the CLIP, the images and the trainings.
        corruptions: names of :data:`CORRUPTIONS`.
        quick: hardly any data and steps.
    """

    def __init__(self, folder: Path, seed: int, corruptions: Sequence[str], quick: bool) -> None:
        self.folder, self.seed, self.quick = folder.resolve(), seed, quick
        os.environ["OMGSEG_TOY"] = str(self.folder)  # where the configs find everything
        self.clip = self.folder / "clip.safetensors"
        make_clip(self.clip, seed, quick)
        count, more = (QUICK_IMAGES, QUICK_TRAIN_IMAGES) if quick else (IMAGES, TRAIN_IMAGES)
        samples = sample_images(seed, count + more)
        clean = samples[:count]
        self.images = self.folder / "mask_clip"
        write_images(self.images / "val", clean)
        write_images(self.images / "train", samples[count:])
        vocabulary().save(self.images / "classes.json")
        self.sets = {"clean": clean}
        for name in corruptions:
            self.sets[name] = [
                (corrupted(image, name, number), truth) for number, (image, truth) in enumerate(clean)
            ]

    def run(self) -> dict[str, Scores]:
        """The numbers of each table of :data:`TABLES`."""
        return dict(zip(TABLES, (self.refinements(), self.zero_shot(), self.teaching()), strict=True))

    def student(
        self,
        name: str,
        folder: str,
        iterations: int | None = None,
        load_from: str | None = None,
        datasets: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Segmenter:
        """Train a config.

        Args:
            name: of the config.
            folder: of the run.
            iterations: None: those of the config.
            load_from: folder of the run to go on from, of as many iterations.
            datasets: changes of the sources of a joint training.
            options: changes of the model.
        """
        config = Config.fromfile(CONFIGS / f"{name}.py")
        iterations = QUICK_ITERATIONS if self.quick else iterations or config.max_iters
        config.merge_from_dict({"randomness.seed": self.seed})
        config.model.update(options)
        config.val_cfg = config.val_dataloader = config.val_evaluator = None  # scores come through the seam
        if self.quick:
            config.train_dataloader.batch_size = 2
        if datasets is not None:
            config.train_dataloader.dataset.datasets.update(datasets)
        if load_from is not None:
            config.load_from = str(self.folder / load_from / f"iter_{iterations}.pth")
        return load(config, train(config, self.folder / folder, iterations))

    def refinements(self) -> Scores:
        """mIoU without annotations."""
        scores = {}
        for title, options in VARIANTS.items():
            config = Config.fromfile(CONFIGS / "toy.py")
            config.segmenter.update(options)
            scores[title] = self.evaluate(title, load(config, self.clip))
        scores["MaskCLIP+"] = self.evaluate("MaskCLIP+", self.student("toy_plus", "plus"))
        return scores

    def evaluate(self, title: str, model: Segmenter, *sets: str) -> dict[str, float]:
        """mIoU on sets of images; none named: on all."""
        found = {name: mean_iou(model, self.sets[name]) for name in sets or self.sets}
        say(f"seed {self.seed}, {title}: {found}")
        return found

    def zero_shot(self) -> Scores:
        """Scores with labels of all classes but the novel things. What goes on after the first stage begins with the
        weights at its end."""
        name = "toy_plus_zero_shot"
        half = QUICK_ITERATIONS if self.quick else Config.fromfile(CONFIGS / f"{name}.py").max_iters // 2
        guided = dict(clip_guided=(1, None), self_training=None)
        stages = dict(clip_guided=(1, half), self_training=(half + 1, None))
        models = {
            "MaskCLIP": load(CONFIGS / "toy_teacher.py", self.clip),
            "labels of the seen classes": self.student(
                name, "seen", half, clip_guided=None, self_training=None
            ),
            "+ MaskCLIP's of the unseen ones": self.student(name, "guided", half, **guided),
            "the same, as long again": self.student(name, "guided_on", half, "guided", **guided),
            "self-training, as long again": self.student(name, "self_training", half, "guided", **stages),
        }
        unseen = [NAMES.index(word) for word in NOVEL_THINGS]
        scores = {}
        for title, model in models.items():
            found = summarize_confusion(confusion_of(model, self.sets["clean"]))
            values = {"mIoU": found["mIoU_gt"], **summarize_zero_shot(found["IoU"], unseen)}
            scores[title] = {column: 100 * value for column, value in values.items()}
            say(f"seed {self.seed}, {title}: {scores[title]}")
        return scores

    def teaching(self) -> Scores:
        """mIoU of supervised trainings, one of which has MaskCLIP's labels, too."""
        self.label()
        one_tenth = max(len(list((self.images / "train" / "images").iterdir())) // 10, 1)
        name = "toy_pseudo_labels"
        config = Config.fromfile(CONFIGS / f"{name}.py")
        labelled = config.train_dataloader.dataset.datasets.labelled
        few, all_labels = dict(labelled, indices=one_tenth), dict(labelled, indices=None)
        mixes = {
            "10 % of the labels": dict(labelled=few, mask_clip=None),
            "10 %, and MaskCLIP's of all images": dict(labelled=few),
            "100 % of the labels": dict(labelled=all_labels, mask_clip=None),
        }
        return {
            title: self.evaluate(title, self.student(name, f"mix_{number}", datasets=datasets), "clean")
            for number, (title, datasets) in enumerate(mixes.items())
        }

    def label(self) -> None:
        """Let MaskCLIP label the training images, unless it has."""
        out = self.images / "pseudo_labels.json"
        if out.is_file():
            return
        files = ["--config", str(CONFIGS / "toy_teacher.py"), "--weights", str(self.clip), "--out", str(out)]
        words = ["--vocabulary", str(self.images / "classes.json"), "--background", "none"]
        options = ["--task", "semantic", "--min-score", "0"]
        if failed := command(["label", str(self.images / "train" / "images"), *files, *words, *options]):
            sys.exit(failed)


def report(runs: Sequence[Mapping[str, Scores]]) -> str:
    """Markdown: each table, with the mean over the runs and half of the range."""
    parts = []
    for key, title in TABLES.items():
        scores = {row: [run[key][row] for run in runs] for row in runs[0][key]}
        columns = list(next(iter(scores.values()))[0])
        parts.append(f"{title}\n\n{seed_table(scores, columns)}")
    return "\n\n".join(parts)


def main(argv: Sequence[str] | None = None) -> list[dict[str, Scores]]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1], help="of CLIPs, images and trainings")
    parser.add_argument("--corruptions", nargs="*", default=[], choices=list(CORRUPTIONS))
    parser.add_argument("--work-dir", type=Path, default=Path("work_dirs/mask_clip_proof"))
    parser.add_argument("--quick", action="store_true", help="hardly any data and steps: shows that it runs")
    args = parser.parse_args(argv)
    runs = []
    for seed in args.seeds:
        runs.append(Proof(args.work_dir / f"seed_{seed}", seed, args.corruptions, args.quick).run())
        write_text(args.work_dir / "metrics.json", json.dumps(dict(seeds=args.seeds, runs=runs), indent=2))
        write_text(args.work_dir / "table.md", report(runs))
    say(f"\n{report(runs)}")
    return runs


if __name__ == "__main__":
    with one_line_errors():
        main()
