"""The toy proof of SAMI: a small EfficientSAM is fine-tuned from nothing, after MAE, and after SAMI.

python projects/efficient_sam/toy_proof.py --seeds 0 1 --work-dir work_dirs/efficient_sam_proof

All are one model, fine-tuned on the masks of equally many images; both pre-trainings see equally many images, without
masks. A run that was interrupted goes on where it was; after a change of the configs, begin in another folder. A
trained SAM of configs/toy/sam.py may be given as the teacher.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config

from omgseg.engine.config import one_line_errors
from omgseg.projects.edge_sam.toy_proof import COLUMNS, TEACHER, evaluate
from omgseg.toy.generate import TINY, generate
from omgseg.toy.proof import (
    QUICK_ITERATIONS,
    fill_teacher_cache,
    say,
    seed_table,
    train,
    use_teacher,
    write_numbers,
)

CONFIGS = Path(__file__).parent / "configs"
FINE_TUNING, SAMI = CONFIGS / "toy_scratch.py", CONFIGS / "toy_sami.py"
VARIANTS = {"from nothing": None, "MAE": CONFIGS / "toy_mae.py", "SAMI": SAMI}
"""Title -> config of the pre-training."""


class Proof:
    """One run.

    Args:
        folder: gets the trainings, the cache, ``metrics.json`` and ``table.md``.
        teacher: trained weights of configs/toy/sam.py; None: they are trained here.
        quick: hardly any data and steps.
    """

    def __init__(self, folder: Path, teacher: Path | None, quick: bool) -> None:
        self.folder = folder
        self.quick = quick
        toy = Path(os.environ.setdefault("OMGSEG_TOY", str(folder.resolve())))  # where configs look for data
        generate(toy / "data", sizes=TINY if quick else None, report=say)
        if teacher is None:
            teacher = self._train(Config.fromfile(TEACHER), "teacher")
        self.teacher = teacher.resolve()
        self.cache = folder / "teacher_embeddings"
        fill_teacher_cache(SAMI, TEACHER, self.teacher, self.cache)

    def student(self, title: str, seed: int) -> Path:
        """Pre-train and fine-tune; the last checkpoint."""
        name = f"{title.replace(' ', '_')}_{seed}"
        config = Config.fromfile(FINE_TUNING)
        config.randomness.seed = seed
        if VARIANTS[title] is not None:
            before = Config.fromfile(VARIANTS[title])
            before.randomness.seed = seed
            if before.model.teacher is not None:
                use_teacher(before, self.teacher, self.cache)
            config.load_from = str(self._train(before, f"{name}_pretraining"))
            config.load_strict = False  # the neck and what comes after it are not pre-trained
        return self._train(config, name)

    def _train(self, config: Config, name: str) -> Path:
        iterations = QUICK_ITERATIONS if self.quick else config.train_cfg.max_iters
        return train(config, self.folder / name, iterations)


def main(argv: Sequence[str] | None = None) -> dict[str, list[dict[str, float]]]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1], help="of the students")
    parser.add_argument("--work-dir", type=Path, default=Path("work_dirs/efficient_sam_proof"))
    parser.add_argument("--teacher", type=Path, metavar="FILE", help="trained weights of configs/toy/sam.py")
    parser.add_argument("--quick", action="store_true", help="hardly any data and steps: shows that it runs")
    args = parser.parse_args(argv)
    if args.teacher is not None and not args.teacher.is_file():
        raise FileNotFoundError(f"--teacher {args.teacher} not found")
    folder = args.work_dir
    folder.mkdir(parents=True, exist_ok=True)
    proof = Proof(folder, args.teacher, args.quick)
    scores: dict[str, list[dict[str, float]]] = {}
    for title in VARIANTS:
        students = [proof.student(title, seed) for seed in args.seeds]
        scores[title] = [evaluate(FINE_TUNING, one, folder / "test") for one in students]
        say(seed_table(scores, COLUMNS))
    scores["teacher"] = [evaluate(TEACHER, proof.teacher, folder / "test")]
    say(f"\n{write_numbers(folder, scores, COLUMNS, seeds=args.seeds)}")
    return scores


if __name__ == "__main__":
    with one_line_errors():
        main()
