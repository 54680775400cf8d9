"""The toy proof of EdgeSAM's distillation: supervised from nothing, encoder only, prompts in the loop, and the teacher.

python projects/edge_sam/toy_proof.py --seeds 0 1 --work-dir work_dirs/edge_sam_proof

All students are one model and see equally many images. A run that was interrupted goes on where it was; after a change
of the configs, begin in another folder. A trained SAM of configs/toy/sam.py may be given as the teacher.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from mmengine.config import Config
from PIL import Image

from omgseg import recipes
from omgseg.engine.benchmarks import run_benchmark
from omgseg.engine.config import one_line_errors, with_model
from omgseg.evaluation.functional.interactive import centre_of
from omgseg.files import whole_file
from omgseg.inference import load
from omgseg.protocols import Prompts
from omgseg.registry import DATASETS
from omgseg.structures import Task
from omgseg.toy.generate import TINY, generate
from omgseg.toy.proof import (
    QUICK_ITERATIONS,
    ROOT,
    fill_teacher_cache,
    prepared,
    say,
    seed_table,
    train,
    use_teacher,
    write_numbers,
)
from omgseg.visualization import draw_clicks, render, side_by_side
from omgseg.visualization.samples import enlarge, enlarge_segments, truth_of

TEACHER = ROOT / "configs" / "toy" / "sam.py"
CONFIGS = Path(__file__).parent / "configs"
PROTOCOL = CONFIGS / "toy_protocol.py"
METRICS = {
    f"interactive/mIoU_{name}": name for name in ("box", "box+1", "box+2", "centre", "centre+1", "centre+2")
}
COLUMNS = tuple(METRICS.values())
PICTURES, ZOOM = 3, 2
"""Validation images in the picture, and how much they are enlarged."""


class Variant(NamedTuple):
    """A way to train the student.

    Attributes:
        title: for people.
        stages: configs, one after another; each gets an equal share of the iterations.
    """

    title: str
    stages: tuple[str, ...]


VARIANTS = {
    "supervised": Variant("supervised", ("toy_supervised",)),
    "encoder": Variant("encoder only", ("toy_distill_encoder",)),
    "prompts": Variant("+ prompts in the loop", ("toy_distill_encoder", "toy_distill_prompts")),
}


class Proof:
    """One run.

    Args:
        folder: gets the trainings, the cache, ``metrics.json``, ``table.md`` and ``picture.jpg``.
        iterations: of each student; None: those of the config.
        teacher: trained weights of configs/toy/sam.py; None: they are trained here.
        quick: hardly any data and steps.
    """

    def __init__(self, folder: Path, iterations: int | None, teacher: Path | None, quick: bool) -> None:
        self.folder = folder
        self.quick = quick
        toy = Path(os.environ.setdefault("OMGSEG_TOY", str(folder.resolve())))  # where configs look for data
        generate(toy / "data", sizes=TINY if quick else None, report=say)
        count = Config.fromfile(CONFIGS / "toy_supervised.py").student_iters
        self.iterations = QUICK_ITERATIONS if quick else iterations or count
        self.teacher = (teacher or self._train_teacher()).resolve()
        self.cache = folder / "teacher_embeddings"
        fill_teacher_cache(CONFIGS / "toy_distill_encoder.py", TEACHER, self.teacher, self.cache)

    def _train_teacher(self) -> Path:
        config = Config.fromfile(TEACHER)
        return train(config, self.folder / "teacher", QUICK_ITERATIONS if self.quick else config.max_iters)

    def student(self, variant: str, seed: int) -> Path:
        """Train all stages of a variant; the last one's checkpoint."""
        checkpoint = None
        stages = VARIANTS[variant].stages
        for number, stage in enumerate(stages):
            config = Config.fromfile(CONFIGS / f"{stage}.py")
            config.randomness.seed = seed
            config.load_from = None if checkpoint is None else str(checkpoint)
            if "teacher" in config.model:
                use_teacher(config, self.teacher, self.cache)
            name = f"{variant}_{seed}" if number + 1 == len(stages) else f"{variant}_{seed}_stage{number + 1}"
            checkpoint = train(config, self.folder / name, self.iterations // len(stages))
        return checkpoint


def evaluate(config: Path, checkpoint: Path, folder: Path) -> dict[str, float]:
    """The mean IoU of the validation images after each prompt, percent."""
    test = prepared(with_model(Config.fromfile(PROTOCOL), config), folder)
    test.load_from = str(checkpoint)
    found = run_benchmark(test).metrics
    return {name: found[key] for key, name in METRICS.items()}


def picture(models: Mapping[str, tuple[Path, Path]]) -> np.ndarray:
    """Validation images with the masks of their objects' centres: RGB uint8.

    Args:
        models: title -> config and checkpoint.
    """
    protocol = Config.fromfile(PROTOCOL)
    dataset = DATASETS.build({**protocol.test_dataloader.dataset, "pipeline": recipes.LOAD})
    loaded = {
        title: load(with_model(protocol, config), checkpoint)
        for title, (config, checkpoint) in models.items()
    }
    rows = []
    for index in np.linspace(0, len(dataset) - 1, PICTURES).round().astype(int):
        stored = dataset.prepare_data(int(index))
        image, masks = stored["imgs"][0], stored["gt_masks"][:, 0].astype(bool)
        truth = truth_of(Task.INTERACTIVE, masks, stored["gt_labels"], dataset.vocabulary, None)
        points = np.array([centre_of(mask) for mask in masks], np.float32).reshape(-1, 1, 2) + 0.5
        found = {"ground truth": truth}
        for title, model in loaded.items():
            answer = model.segment_prompts(model.encode_image(image), Prompts(points))
            found[title] = truth.replace(rles=answer.rles, scores=answer.scores)
        large = enlarge(image, ZOOM)
        columns = {"centres": draw_clicks(large, points * ZOOM)}
        for title, segments in found.items():
            columns[title] = render(large, enlarge_segments(segments, ZOOM), labels=False, zoom=ZOOM)
        rows.append(side_by_side(columns.values(), columns))
    return np.concatenate(rows)


def prove(proof: Proof, seeds: Sequence[int]) -> dict[str, list[dict[str, float]]]:
    """Train and evaluate everything; write the numbers, the table and the picture."""
    folder = proof.folder
    scores: dict[str, list[dict[str, float]]] = {}
    models: dict[str, tuple[Path, Path]] = {}
    for name, variant in VARIANTS.items():
        config = CONFIGS / f"{variant.stages[-1]}.py"
        checkpoints = [proof.student(name, seed) for seed in seeds]
        scores[variant.title] = [evaluate(config, one, folder / "test") for one in checkpoints]
        models[variant.title] = config, checkpoints[0]
        say(seed_table(scores, COLUMNS))
    scores["teacher"] = [evaluate(TEACHER, proof.teacher, folder / "test")]
    models["teacher"] = TEACHER, proof.teacher
    write_numbers(folder, scores, COLUMNS, seeds=list(seeds), iterations=proof.iterations)
    with whole_file(folder / "picture.jpg") as temporary:
        Image.fromarray(picture(models)).save(temporary, format="JPEG", quality=75)
    return scores


def main(argv: Sequence[str] | None = None) -> dict[str, list[dict[str, float]]]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1], help="of the students")
    parser.add_argument("--work-dir", type=Path, default=Path("work_dirs/edge_sam_proof"))
    parser.add_argument("--teacher", type=Path, metavar="FILE", help="trained weights of configs/toy/sam.py")
    parser.add_argument("--iterations", type=int, help="of each student (default: those of its config)")
    parser.add_argument("--quick", action="store_true", help="hardly any data and steps: shows that it runs")
    args = parser.parse_args(argv)
    if args.teacher is not None and not args.teacher.is_file():
        raise FileNotFoundError(f"--teacher {args.teacher} not found")
    args.work_dir.mkdir(parents=True, exist_ok=True)
    scores = prove(Proof(args.work_dir, args.iterations, args.teacher, args.quick), args.seeds)
    say(f"\n{seed_table(scores, COLUMNS)}\n\n{args.work_dir / 'picture.jpg'}")
    return scores


if __name__ == "__main__":
    with one_line_errors():
        main()
