"""The toy proof of pseudo labels: a student of a tenth of the labels, of a teacher's labels too, and of all labels.

python tools/toy/pseudo_labels_proof.py --seeds 0 1 --work-dir work_dirs/pseudo_labels_proof

The teacher has learned another draw of the toy world. Students learn images only, the same number of iterations each.
A run that was interrupted goes on where it was; after a change of the configs, begin in another folder.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config

from omgseg.engine import Runner
from omgseg.engine.config import one_line_errors
from omgseg.toy.generate import TINY, generate
from omgseg.toy.proof import ROOT, make_clip, prepared, run_python, say, seed_table, train, write_numbers

CONFIGS = ROOT / "configs" / "toy"
TEACHER_WORLD = 100
"""Seed of the data that the teacher learns."""
METRICS = {
    "coco_panoptic/PQ": ("joint", "PQ"),
    "coco_instance/AP": ("joint", "mask AP"),
    "semantic/mIoU": ("joint", "mIoU"),
    "interactive/mIoU": ("interactive", "one click"),
}
"""Metric -> the config that measures it, and its column."""
COLUMNS = tuple(column for _, column in METRICS.values())
LABELLED = ("coco_panoptic", "coco_pseudo_clips", "coco_prompts")
STUDENTS = ("10 % of the labels", "10 % and a teacher's labels of all images", "100 % of the labels")
QUICK_ITERATIONS = 3


class Proof:
    """One run.

    Args:
        folder: gets the worlds, the trainings, ``metrics.json`` and ``table.md``.
        iterations: of each training; None: those of the config.
        quick: hardly any data and steps.
    """

    def __init__(self, folder: Path, iterations: int | None, quick: bool) -> None:
        self.folder = folder
        self.quick = quick
        self.worlds = {name: (folder / name).resolve() for name in ("world", "teacher_world")}
        sizes = TINY if quick else None
        generate(self.worlds["world"] / "data", sizes=sizes, report=say)
        generate(self.worlds["teacher_world"] / "data", TEACHER_WORLD, sizes, report=say)
        clip = self.worlds["world"] / "clip.safetensors"
        make_clip(clip, quick=quick)
        shutil.copyfile(clip, self.worlds["teacher_world"] / clip.name)
        count = self.config("joint").train_cfg.max_iters
        self.iterations = QUICK_ITERATIONS if quick else iterations or count

    def config(self, name: str, world: str = "world") -> Config:
        """A config of the toy world on the data of a folder."""
        os.environ["OMGSEG_TOY"] = str(self.worlds[world])
        return Config.fromfile(CONFIGS / f"{name}.py")

    def student_config(self, title: str) -> Config:
        """The training of a student, without videos."""
        config = self.config("pseudo_labels" if title == STUDENTS[1] else "joint")
        mix = config.train_dataloader.dataset
        for videos in ("vipseg", "youtube_vis_2019"):
            del mix.datasets[videos]
            del mix.repeat[videos]
        if title != STUDENTS[2]:
            for name in LABELLED:
                mix.datasets[name].indices = max(1, self._num_images() // 10)
        return config

    def _num_images(self) -> int:
        path = self.worlds["world"] / "data/coco/annotations/panoptic_train2017.json"
        return len(json.loads(path.read_text())["images"])

    def teach(self) -> Path:
        """Train the teacher and let it label all images; its checkpoint."""
        run = self.folder / "teacher"
        checkpoint = train(self.config("joint", "teacher_world"), run, self.iterations)
        images = self.worlds["world"] / "data/coco/train2017"
        labels = self.worlds["world"] / "pseudo_labels.json"
        options = ["--format", "panoptic", "--min-score", "0", "--out", labels]
        run_python("-m", "omgseg.cli", "label", images, "--run", run, *options)
        return checkpoint

    def student(self, title: str, seed: int) -> dict[str, float]:
        """Train a student and evaluate it."""
        config = self.student_config(title)
        config.randomness.seed = seed
        return self.evaluate(
            train(config, self.folder / f"student_{STUDENTS.index(title)}_{seed}", self.iterations)
        )

    def evaluate(self, checkpoint: Path) -> dict[str, float]:
        """The numbers of the validation images, percent."""
        found: dict[str, float] = {}
        for name in dict.fromkeys(config for config, _ in METRICS.values()):
            config = prepared(self.config(name), self.folder / "test")
            config.load_from = str(checkpoint)
            found |= Runner.from_cfg(config).test()
        return {column: float(found[key]) for key, (_, column) in METRICS.items()}


def main(argv: Sequence[str] | None = None) -> dict[str, list[dict[str, float]]]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1], help="of the students")
    parser.add_argument("--work-dir", type=Path, default=Path("work_dirs/pseudo_labels_proof"))
    parser.add_argument("--iterations", type=int, help="of each training (default: those of the config)")
    parser.add_argument("--quick", action="store_true", help="hardly any data and steps: shows that it runs")
    args = parser.parse_args(argv)
    proof = Proof(args.work_dir, args.iterations, args.quick)
    scores = {"the teacher": [proof.evaluate(proof.teach())]}
    for title in STUDENTS:
        scores[title] = [proof.student(title, seed) for seed in args.seeds]
        say(seed_table(scores, COLUMNS))
    write_numbers(args.work_dir, scores, COLUMNS, seeds=args.seeds, iterations=proof.iterations)
    return scores


if __name__ == "__main__":
    with one_line_errors():
        main()
