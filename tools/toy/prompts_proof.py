"""The toy proof of prompts in the loop: the joint training with single prompts, with corrections, without a part.

python tools/toy/prompts_proof.py --seeds 0 1 --work-dir work_dirs/prompts_proof

Data and the CLIP of the words are made in the folder, unless $OMGSEG_TOY has them. All variants train the same number
of iterations on the same data; those that lack one part train with the first seed only. A run that was interrupted goes
on where it was; after a change of the configs, begin in another folder.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.hooks import Hook

from omgseg.engine import Runner
from omgseg.engine.config import one_line_errors
from omgseg.registry import HOOKS
from omgseg.tables import markdown_table
from omgseg.toy.generate import TINY, generate
from omgseg.toy.proof import QUICK_ITERATIONS, ROOT, make_clip, prepared, say, train, write_text

CONFIGS = ROOT / "configs" / "toy"
_IN_THE_LOOP = dict(prompt_encoder=dict(corrections=True))
VARIANTS: dict[str, dict[str, Any]] = {
    "single prompts": {},
    "corrections": _IN_THE_LOOP,
    "boxes alone": dict(_IN_THE_LOOP, prompt_training=dict(max_corrections=0)),
    "without masks": dict(_IN_THE_LOOP, prompt_training=dict(mask_share=0.0)),
    "without boxes": dict(_IN_THE_LOOP, prompt_training=dict(box_share=0.0)),
}
"""What each changes of the model of configs/toy/joint.py. The first and the third correct masks by the rule
:func:`~omgseg.models.mask_queries.refine.refine_mask`."""
OBJECTS_IN_THE_LOOP = 32
"""Of an image, instead of 20: half of them have no corrections."""
WITH_EVERY_SEED = ("single prompts", "corrections")
NUM_CLICKS = 20
EVALUATIONS: dict[str, dict[str, str]] = {
    "clicks": {
        "interactive/mIoU_clicks1": "1 click, mIoU",
        "interactive/mIoU_box": "box",
        "interactive/mIoU_clicks2": "2 clicks",
        "interactive/mIoU_clicks3": "3 clicks",
        "interactive/mIoU_clicks5": "5 clicks",
        f"interactive/NoC{NUM_CLICKS}@85": "NoC@85",
        f"interactive/NoC{NUM_CLICKS}@90": "NoC@90",
    },
    "corrections": {
        "interactive/mIoU_box+1": "box and 1 correction, without the mask so far",
        "interactive/mIoU_box+2": "box and 2 corrections, without the mask so far",
    },
    "joint": {"coco_panoptic/PQ": "PQ", "coco_instance/AP": "mask AP"},
    "vipseg": {"vipseg/VPQ": "VPQ"},
    "youtube_vis": {"youtube_vis/AP": "video AP"},
    "davis": {"davis/J&F": "J&F"},
}
"""By evaluation, what is shown of its numbers. The first two prompt the images of configs/toy/interactive.py, the
others are configs of configs/toy."""
WANTED = {
    "1 click, mIoU": 82,
    "box": 86,
    "2 clicks": 87,
    "3 clicks": 89,
    "5 clicks": 91,
    "J&F": 80,
}
PROMPT_TIME, OTHER_TIME = "seconds of an iteration of prompts", "seconds of the others"


@HOOKS.register_module(force=True)
class IterationTimes(Hook):
    """Writes the median time of training iterations, of prompts and of all else, into the run's folder."""

    def before_train(self, runner: Runner) -> None:
        self._times: dict[str, list[float]] = {PROMPT_TIME: [], OTHER_TIME: []}

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        self._start = time.perf_counter()

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        is_prompts = data_batch["data_samples"][0].source == "coco_prompts"
        self._times[PROMPT_TIME if is_prompts else OTHER_TIME].append(time.perf_counter() - self._start)

    def after_train(self, runner: Runner) -> None:
        medians = {name: float(np.median(values)) if values else 0.0 for name, values in self._times.items()}
        write_text(Path(runner.work_dir) / "seconds.json", json.dumps(medians))


class Proof:
    """One run.

    Args:
        folder: gets the trainings, ``metrics.json`` and ``table.md``; the world, too, if there is none.
        iterations: of each training; None: those of the config.
        quick: hardly any data and steps.
    """

    def __init__(self, folder: Path, iterations: int | None, quick: bool) -> None:
        self.folder = folder
        world = Path(
            os.environ.setdefault("OMGSEG_TOY", str(folder.resolve()))
        )  # where configs look for data
        generate(world / "data", sizes=TINY if quick else None, report=say)
        make_clip(world / "clip.safetensors", quick=quick)
        count = Config.fromfile(CONFIGS / "joint.py").train_cfg.max_iters
        self.iterations = QUICK_ITERATIONS if quick else iterations or count

    def config(self, variant: str, evaluation: str = "joint") -> Config:
        """The training of a variant, or one of its evaluations."""
        loops = {
            "clicks": dict(type="ClickLoop", num_clicks=NUM_CLICKS),
            "corrections": dict(type="RefinementLoop", num_points=2),
        }
        config = Config.fromfile(CONFIGS / f"{'interactive' if evaluation in loops else evaluation}.py")
        config.merge_from_dict(dict(model=VARIANTS[variant]))
        if evaluation == "joint" and config.model.prompt_encoder.corrections:
            steps = config.train_dataloader.dataset.datasets.coco_prompts.pipeline
            next(step for step in steps if step.type == "SamplePrompts").max_prompts = OBJECTS_IN_THE_LOOP
        if evaluation in loops:
            config.test_cfg = loops[evaluation]
        if evaluation == "corrections":
            config.test_evaluator = [dict(type="RefinementMetric")]
        return config

    def run(self, variant: str, seed: int) -> dict[str, float]:
        """Train a variant and evaluate it; percent, clicks and seconds."""
        folder = self.folder / f"{variant.replace(' ', '_')}_{seed}"
        file = folder / "metrics.json"
        if not file.is_file():
            config = self.config(variant)
            config.randomness.seed = seed
            config.custom_hooks = [dict(type="IterationTimes")]
            checkpoint = train(config, folder, self.iterations)
            found: dict[str, float] = {}
            for evaluation, shown in EVALUATIONS.items():
                config = prepared(self.config(variant, evaluation), folder / "test")
                config.load_from = str(checkpoint)
                values = Runner.from_cfg(config).test()
                found |= {title: float(values[key]) for key, title in shown.items()}
            seconds = json.loads((folder / "seconds.json").read_text())
            write_text(file, json.dumps({**found, **seconds}, indent=2))
        return json.loads(file.read_text())


def table(scores: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """Markdown: a row for each number, with its mean over the runs and half of the range by variant."""
    rows = []
    for name in next(iter(scores.values()))[0]:
        row = [name, f">= {WANTED[name]}" if name in WANTED else ""]
        for runs in scores.values():
            values = np.array([run[name] for run in runs])
            digits = 2 if name.startswith(("NoC", "seconds")) else 1
            spread = f" ± {np.ptp(values) / 2:.{digits}f}" if len(values) > 1 else ""
            row.append(f"{values.mean():.{digits}f}{spread}")
        rows.append(tuple(row))
    return markdown_table(("", "wanted", *scores), rows, right=range(1, 2 + len(scores)))


def main(argv: Sequence[str] | None = None) -> dict[str, list[dict[str, float]]]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1], help="of the trainings")
    parser.add_argument("--work-dir", type=Path, default=Path("work_dirs/prompts_proof"))
    parser.add_argument("--iterations", type=int, help="of each training (default: those of the config)")
    parser.add_argument("--quick", action="store_true", help="hardly any data and steps: shows that it runs")
    args = parser.parse_args(argv)
    proof = Proof(args.work_dir, args.iterations, args.quick)
    scores: dict[str, list[dict[str, float]]] = {}
    for variant in sorted(VARIANTS, key=lambda name: name not in WITH_EVERY_SEED):
        seeds = args.seeds if variant in WITH_EVERY_SEED else args.seeds[:1]
        scores[variant] = [proof.run(variant, seed) for seed in seeds]
        text = table(scores)
        say(text)
        write_text(args.work_dir / "table.md", text)
    settings = dict(seeds=args.seeds, iterations=proof.iterations, threads=torch.get_num_threads())
    write_text(args.work_dir / "metrics.json", json.dumps({**settings, "scores": scores}, indent=2))
    return scores


if __name__ == "__main__":
    with one_line_errors():
        main()
