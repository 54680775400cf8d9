"""The toy proof of data cleaning: which method finds the mistakes that were put into the toy world's annotations.

python projects/data_cleaning/toy_proof.py --seeds 0 1 --run RUN --work-dir work_dirs/data_cleaning_proof

Each seed has images of its own: 3 % of their segments have a wrong label, 3 % a shifted mask, 1 % no pixels or an
exchanged label. RUN has not learned them; without --run one is trained by configs/toy/joint.py on other images. With
--train models learn the dirty, the cleaned and the correct annotations, which takes long. A run that was interrupted
goes on where it was; after a change of the configs, begin in another folder.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from mmengine.config import Config
from scipy.stats import rankdata

from omgseg.datasets.base import SegmentationDataset
from omgseg.datasets.checking import DatasetFiles
from omgseg.engine import Runner
from omgseg.engine.config import one_line_errors
from omgseg.files import whole_file
from omgseg.inference import load
from omgseg.projects.data_cleaning.corruption import write_dirty
from omgseg.projects.data_cleaning.find_outliers import cleaned
from omgseg.projects.data_cleaning.ranking import DEFAULT_METHOD, METHODS, ranked, suspicion
from omgseg.projects.data_cleaning.survey import Survey, annotated_images, survey
from omgseg.toy.generate import TINY, Sizes, generate
from omgseg.toy.proof import ROOT, make_clip, prepared, say, seed_table, train, write_numbers, write_text

CONFIG = ROOT / "configs" / "toy" / "joint.py"
FIRST_WORLD = 200
"""Seed of the images of seed 0: no run has learned them."""
CHECKED = 0.05
"""Share of the segments that a person looks at."""
CORRECT, DIRTY, CLEANED = "panoptic_train2017", "panoptic_dirty", "panoptic_cleaned"
COLUMNS = ("AUC", "P@5 %", "AUC label", "AUC mask", "AUC swap", "CPU s")
STUDENTS = {"dirty": DIRTY, "cleaned": CLEANED, "correct": CORRECT}
QUICK_ITERATIONS, QUICK_BATCH = 2, 2


def area_under_curve(scores: np.ndarray, wrong: np.ndarray) -> float:
    """Percent of the pairs of a wrong and a right segment in which the wrong one scores higher; ties count half."""
    if wrong.all() or not wrong.any():
        return float("nan")
    ranks = rankdata(scores)
    count = wrong.sum()
    return 100 * float((ranks[wrong].sum() - count * (count + 1) / 2) / (count * (~wrong).sum()))


def measure(scores: np.ndarray, kinds: np.ndarray) -> dict[str, float]:
    """Numbers in percent.

    Args:
        scores: (N,).
        kinds: (N,), kinds of mistakes; "" where a segment is right.
    """
    wrong = kinds != ""
    first = np.argsort(-scores, kind="stable")[: max(1, round(CHECKED * len(scores)))]
    found = {"AUC": area_under_curve(scores, wrong), "P@5 %": 100 * float(wrong[first].mean())}
    for kind in ("label", "mask", "swap"):
        chosen = ~wrong | (kinds == kind)
        found[f"AUC {kind}"] = area_under_curve(scores[chosen], wrong[chosen])
    return found


class Proof:
    """One run.

    Args:
        folder: gets the worlds, the trainings, ``metrics.json``, ``table.md`` and ``training.md``.
        run: a trained run; None: train one.
        iterations: of each training; None: those of the config.
        quick: hardly any data and steps.
    """

    def __init__(self, folder: Path, run: Path | None, iterations: int | None, quick: bool) -> None:
        self.folder, self.quick = folder, quick
        self.iterations = QUICK_ITERATIONS if quick else iterations
        self.clip = folder / "clip.safetensors"
        self.run = run or self._trained()
        self.model = load(self.run)
        self._looks: dict[int, tuple[SegmentationDataset, Survey, np.ndarray]] = {}

    def _trained(self) -> Path:
        world = (self.folder / "world").resolve()
        generate(world / "data", sizes=TINY if self.quick else None, report=say)
        return self._train(self._config(world), "run").parent

    def _config(self, world: Path) -> Config:
        """The joint training on the data of a folder."""
        if not (world / self.clip.name).is_file():
            make_clip(self.clip, quick=self.quick)
            shutil.copyfile(self.clip, world / self.clip.name)
        os.environ["OMGSEG_TOY"] = str(world)
        return Config.fromfile(CONFIG)

    def _train(self, config: Config, name: str) -> Path:
        if self.quick:
            config.train_dataloader.batch_size = QUICK_BATCH
        return train(config, self.folder / name, self.iterations or config.train_cfg.max_iters)

    def annotations(self, seed: int) -> Path:
        """The folder with the correct and the dirty annotations of a seed."""
        count = 12 if self.quick else Sizes().train_images
        sizes = replace(
            TINY, train_images=count, val_images=TINY.val_images if self.quick else Sizes().val_images
        )
        world = (self.folder / f"world_{seed}").resolve()
        if not (world / "data").is_dir():
            generate(world / "data", FIRST_WORLD + seed, sizes, say)
        return world / "data" / "coco" / "annotations"

    def look(self, seed: int) -> tuple[SegmentationDataset, Survey, np.ndarray]:
        """The dirty annotations of a seed, what the model sees in them, and the kind of mistake of each segment."""
        if seed not in self._looks:
            annotations = self.annotations(seed)
            mistakes = write_dirty(annotations, CORRECT, DIRTY, seed)
            config = dict(
                type="CocoPanopticDataset",
                ann_file=str(annotations / f"{DIRTY}.json"),
                data_prefix=dict(img=str(annotations.parent / "train2017"), seg=str(annotations / DIRTY)),
            )
            dataset = annotated_images(DatasetFiles("coco_panoptic", config))
            found = survey(dataset, self.model, say)
            keys = zip(found.image_ids, found.segment_ids, strict=True)
            self._looks[seed] = dataset, found, np.array([mistakes.get(key, "") for key in keys])
        return self._looks[seed]

    def compare(self, seed: int, method: str) -> dict[str, float]:
        """The numbers of a method for a seed."""
        _, found, kinds = self.look(seed)
        start = time.process_time()
        scores = suspicion(method, found.labels, found.seen, found.empty, seed)
        numbers = measure(scores, kinds) | {"CPU s": time.process_time() - start}
        say(f"seed {seed}, {method}: {numbers}")
        return numbers

    def clean(self, seed: int) -> None:
        """Write what the default method leaves of the dirty annotations of a seed."""
        dataset, found, _ = self.look(seed)
        suspects = ranked(found, suspicion(DEFAULT_METHOD, found.labels, found.seen, found.empty, seed))
        content = cleaned(dataset, found, suspects[: round(CHECKED * len(suspects))])
        with whole_file(self.annotations(seed) / f"{CLEANED}.json") as temporary:
            temporary.write_text(json.dumps(content))

    def student(self, title: str, seed: int) -> dict[str, float]:
        """Train a model on annotations of a seed, images only; its numbers on correct validation images, percent."""
        config = self._config(self.annotations(seed).parents[2])
        config.randomness.seed = seed
        mix = config.train_dataloader.dataset
        for videos in ("vipseg", "youtube_vis_2019"):
            del mix.datasets[videos]
            del mix.repeat[videos]
        name = STUDENTS[title]
        masks = CORRECT if name == CORRECT else DIRTY  # what is dropped is a crowd region of the dirty PNGs
        for data in mix.datasets.values():
            data.ann_file, data.data_prefix.seg = f"annotations/{name}.json", f"annotations/{masks}/"
        checkpoint = self._train(config, f"{title}_{seed}")
        test = prepared(self._config(self.annotations(seed).parents[2]), self.folder / "test")
        test.load_from = str(checkpoint)
        numbers = Runner.from_cfg(test).test()
        return {"PQ": float(numbers["coco_panoptic/PQ"]), "mIoU": float(numbers["semantic/mIoU"])}


def main(argv: Sequence[str] | None = None) -> Mapping[str, list[dict[str, float]]]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=[0, 1], help="of the images and their mistakes"
    )
    parser.add_argument("--run", type=Path, help="work folder of a trained toy run (default: train one)")
    parser.add_argument("--work-dir", type=Path, default=Path("work_dirs/data_cleaning_proof"))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS, metavar="METHOD")
    parser.add_argument(
        "--train", action="store_true", help="also train on dirty, cleaned and correct annotations"
    )
    parser.add_argument("--iterations", type=int, help="of each training (default: those of the config)")
    parser.add_argument("--quick", action="store_true", help="hardly any data and steps: shows that it runs")
    args = parser.parse_args(argv)
    args.work_dir.mkdir(parents=True, exist_ok=True)
    proof = Proof(args.work_dir, args.run, args.iterations, args.quick)
    runs = {method: [proof.compare(seed, method) for seed in args.seeds] for method in args.methods}
    say(write_numbers(args.work_dir, runs, COLUMNS, seeds=args.seeds, run=str(proof.run)))
    if args.train:
        for seed in args.seeds:
            proof.clean(seed)
        students = {title: [proof.student(title, seed) for seed in args.seeds] for title in STUDENTS}
        write_text(args.work_dir / "training.md", seed_table(students, ("PQ", "mIoU")))
        say((args.work_dir / "training.md").read_text())
        runs |= students
    return runs


if __name__ == "__main__":
    with one_line_errors():
        main()
