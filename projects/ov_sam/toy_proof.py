"""The toy proof of OV-SAM: without adapter, with it, with classified images, beside its baselines.

python projects/ov_sam/toy_proof.py --seeds 0 1 --work-dir work_dirs/ov_sam_proof

The toy world's images show base words with masks; 6 novel words are in none of them. The evaluation has both. A run
that was interrupted goes on where it was; after a change of the configs, begin in another folder. A trained SAM of
configs/toy/sam.py may be given as the teacher.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from mmengine.config import Config
from PIL import Image

from omgseg import recipes
from omgseg.engine.benchmarks import run_benchmark
from omgseg.engine.config import one_line_errors
from omgseg.files import whole_file
from omgseg.inference import load
from omgseg.inference.evaluating import with_segmenter
from omgseg.projects.edge_sam.toy_proof import TEACHER
from omgseg.projects.ov_sam.costs import cost_of
from omgseg.protocols import Prompts
from omgseg.registry import DATASETS
from omgseg.structures import Task
from omgseg.toy.categories import NAMES, NOVEL_THINGS
from omgseg.toy.crops import sample_crops
from omgseg.toy.generate import TINY, generate
from omgseg.toy.proof import (
    QUICK_ITERATIONS,
    fill_teacher_cache,
    make_clip,
    prepared,
    say,
    seed_table,
    train,
    use_teacher,
    write_numbers,
)
from omgseg.visualization import render, side_by_side
from omgseg.visualization.samples import enlarge, enlarge_segments, truth_of

CONFIGS = Path(__file__).parent / "configs"
PROTOCOL = CONFIGS / "toy_protocol.py"
METRICS = {
    f"naming/{key}_{prompt}_{group}": f"{prompt}: {name} {group}"
    for prompt in ("box", "centre")
    for key, name in (("mIoU", "IoU"), ("Acc", "accuracy"))
    for group in ("base", "novel")
}
OBJECTS = 4
"""Boxes of an image whose cost is counted; the evaluation's have 2 to 5."""
COST = f"M multiply-additions, {OBJECTS} boxes"
COLUMNS = (*METRICS.values(), COST)
CLASS_PICTURES, CLASS_SEED = 600, 1000
"""Of the toy world's pictures that classified images are cut from; no other part has this seed."""
PICTURES, ZOOM = 3, 2
"""Validation images in the picture, and how much they are enlarged."""


class Variant(NamedTuple):
    """A way to train.

    Attributes:
        title: for people.
        stages: configs, one after another.
    """

    title: str
    stages: tuple[str, ...]


VARIANTS = {
    "plain": Variant("OV-SAM without adapter", ("toy_clip2sam_plain",)),
    "adapter": Variant("OV-SAM", ("toy_sam2clip", "toy_clip2sam")),
    "classes": Variant("OV-SAM + classified images", ("toy_sam2clip", "toy_clip2sam_classes")),
}


BASELINES = {
    "SAM, image crop": "toy_baseline_image_crop",
    "SAM, feature crop": "toy_baseline_feature_crop",
}
"""Titles and configs; the teacher makes their masks."""


class Proof:
    """One run.

    Args:
        folder: gets the data, the CLIP, the trainings, ``metrics.json``, ``table.md`` and ``picture.jpg``. Data and
            CLIP are looked for in ``$OMGSEG_TOY`` where this is set, as those of ``make demo``.
        teacher: trained weights of configs/toy/sam.py; None: they are trained here.
        quick: hardly any data and steps.
    """

    def __init__(self, folder: Path, teacher: Path | None, quick: bool) -> None:
        self.folder = folder
        self.quick = quick
        toy = Path(os.environ.setdefault("OMGSEG_TOY", str(folder.resolve())))  # where configs look for data
        generate(toy / "data", sizes=TINY if quick else None, report=say)
        make_clip(toy / "clip.safetensors", quick=quick)
        write_class_images(toy / "class_images", TINY.train_images if quick else CLASS_PICTURES)
        self.teacher = (teacher or self._train("teacher", TEACHER)).resolve()
        self.cache = folder / "teacher_embeddings"
        fill_teacher_cache(CONFIGS / "toy_sam2clip.py", TEACHER, self.teacher, self.cache)

    def _train(self, name: str, file: Path, seed: int = 0, sam2clip: Path | None = None) -> Path:
        config = Config.fromfile(file)
        config.randomness.seed = seed
        if config.model.type == "Sam2ClipDistillation":
            use_teacher(config, self.teacher, self.cache)
        if sam2clip is not None:
            config.model.sam2clip = str(sam2clip)
        return train(config, self.folder / name, QUICK_ITERATIONS if self.quick else config.max_iters)

    def student(self, variant: str, seed: int) -> Path:
        """Train all stages of a variant; the last one's checkpoint. Variants share their first stage."""
        checkpoint = None
        for stage in VARIANTS[variant].stages:
            name = f"{stage.removeprefix('toy_')}_{seed}"
            checkpoint = self._train(name, CONFIGS / f"{stage}.py", seed, checkpoint)
        return checkpoint


def write_class_images(folder: Path, pictures: int) -> None:
    """Crops of novel things, in a folder for each word, unless there is one.

    Args:
        folder: appears whole, by a rename.
        pictures: that they are cut from.
    """
    if folder.is_dir():
        return
    crops = sample_crops(CLASS_SEED, pictures)
    new = folder.with_name(f".{folder.name}-{os.getpid()}")
    for number, (image, label) in enumerate(zip(crops.images, crops.labels, strict=True)):
        if NAMES[label] in NOVEL_THINGS:
            of_word = new / NAMES[label]
            of_word.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(of_word / f"{number:05d}.png"), image[..., ::-1])
    new.rename(folder)
    say(f"{folder}: {sum(1 for _ in folder.rglob('*.png'))} classified images")


def evaluate(config: Path, checkpoint: Path, folder: Path) -> dict[str, float]:
    """IoU and accuracy of names on base and novel words, percent, and what an image with its objects costs."""
    test = with_segmenter(Config.fromfile(PROTOCOL), str(config), str(checkpoint))
    found = run_benchmark(prepared(test, folder)).metrics
    cost = cost_of(Config.fromfile(config))
    operations = {COST: (cost.per_image + OBJECTS * cost.per_prompt) / 1e6}
    return {name: found[key] for key, name in METRICS.items()} | operations


def picture(models: Mapping[str, tuple[Path, Path]]) -> np.ndarray:
    """Validation images with the masks and names for their objects' boxes: RGB uint8.

    Args:
        models: title -> config and checkpoint.
    """
    protocol = Config.fromfile(PROTOCOL)
    dataset = DATASETS.build({**protocol.test_dataloader.dataset, "pipeline": recipes.LOAD})
    loaded = {title: load(str(config), checkpoint) for title, (config, checkpoint) in models.items()}
    words = dataset.vocabulary.things()
    rows = []
    for index in np.linspace(0, len(dataset) - 1, PICTURES).round().astype(int):
        stored = dataset.prepare_data(int(index))
        image, masks = stored["imgs"][0], stored["gt_masks"][:, 0].astype(bool)
        truth = truth_of(Task.INSTANCE, masks, stored["gt_labels"], words, None)
        boxes = np.array([cv2.boundingRect(mask.astype(np.uint8)) for mask in masks], np.float32)
        boxes[:, 2:] += boxes[:, :2]
        found = {"ground truth": truth}
        for title, model in loaded.items():
            state = model.encode_image(image)
            answer = model.segment_prompts(state, Prompts(boxes=boxes))
            names = model.name_masks(state, answer.rles, words)
            found[title] = truth.replace(rles=answer.rles, labels=names.argmax(1), scores=names.max(1))
        large = enlarge(image, ZOOM)
        columns = {
            title: render(large, enlarge_segments(segments, ZOOM), zoom=ZOOM)
            for title, segments in found.items()
        }
        rows.append(side_by_side(columns.values(), columns))
    return np.concatenate(rows)


def prove(proof: Proof, seeds: Sequence[int]) -> dict[str, list[dict[str, float]]]:
    """Train and evaluate everything; write the numbers, the table and the picture."""
    folder = proof.folder
    scores: dict[str, list[dict[str, float]]] = {}
    models: dict[str, tuple[Path, Path]] = {}
    for title, file in BASELINES.items():
        models[title] = CONFIGS / f"{file}.py", proof.teacher
        scores[title] = [evaluate(*models[title], folder / "test")]
    for name, variant in VARIANTS.items():
        config = CONFIGS / f"{variant.stages[-1]}.py"
        checkpoints = [proof.student(name, seed) for seed in seeds]
        scores[variant.title] = [evaluate(config, one, folder / "test") for one in checkpoints]
        models[variant.title] = config, checkpoints[0]
        say(seed_table(scores, COLUMNS))
    write_numbers(folder, scores, COLUMNS, seeds=list(seeds))
    with whole_file(folder / "picture.jpg") as temporary:
        Image.fromarray(picture(models)).save(temporary, format="JPEG", quality=75)
    return scores


def main(argv: Sequence[str] | None = None) -> dict[str, list[dict[str, float]]]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1], help="of the students")
    parser.add_argument("--work-dir", type=Path, default=Path("work_dirs/ov_sam_proof"))
    parser.add_argument("--teacher", type=Path, metavar="FILE", help="trained weights of configs/toy/sam.py")
    parser.add_argument("--quick", action="store_true", help="hardly any data and steps: shows that it runs")
    args = parser.parse_args(argv)
    if args.teacher is not None and not args.teacher.is_file():
        raise FileNotFoundError(f"--teacher {args.teacher} not found")
    args.work_dir.mkdir(parents=True, exist_ok=True)
    scores = prove(Proof(args.work_dir, args.teacher, args.quick), args.seeds)
    say(f"\n{seed_table(scores, COLUMNS)}\n\n{args.work_dir / 'picture.jpg'}")
    return scores


if __name__ == "__main__":
    with one_line_errors():
        main()
