"""FastSAM on the toy world: its row of the tables of the small SAMs.

python projects/fast_sam/toy_proof.py --seeds 0 1 --work-dir work_dirs/fast_sam_proof

It makes the images, trains configs/toy.py once per seed, and prompts it as projects/edge_sam/toy_proof.py does. A run
that was interrupted goes on where it was.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config

from omgseg.engine.config import one_line_errors
from omgseg.projects.edge_sam.toy_proof import COLUMNS, evaluate
from omgseg.toy.generate import TINY, generate
from omgseg.toy.proof import QUICK_ITERATIONS, say, train, write_numbers

CONFIG = Path(__file__).parent / "configs" / "toy.py"


def main(argv: Sequence[str] | None = None) -> dict[str, list[dict[str, float]]]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--work-dir", type=Path, default=Path("work_dirs/fast_sam_proof"))
    parser.add_argument("--quick", action="store_true", help="hardly any data and steps: shows that it runs")
    args = parser.parse_args(argv)
    folder = args.work_dir
    folder.mkdir(parents=True, exist_ok=True)
    toy = Path(os.environ.setdefault("OMGSEG_TOY", str(folder.resolve())))  # where configs look for data
    generate(toy / "data", sizes=TINY if args.quick else None, report=say)
    scores: dict[str, list[dict[str, float]]] = {"FastSAM": []}
    for seed in args.seeds:
        config = Config.fromfile(CONFIG)
        config.randomness.seed = seed
        iterations = QUICK_ITERATIONS if args.quick else config.train_cfg.max_iters
        checkpoint = train(config, folder / f"seed_{seed}", iterations)
        scores["FastSAM"].append(evaluate(CONFIG, checkpoint, folder / "test"))
    say(write_numbers(folder, scores, COLUMNS, seeds=args.seeds))
    return scores


if __name__ == "__main__":
    with one_line_errors():
        main()
