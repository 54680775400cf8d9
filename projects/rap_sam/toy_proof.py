"""The toy proof of RAP-SAM: joint training from nothing, beside OMG-Seg's, on images, videos, clicks and novel words.

python projects/rap_sam/toy_proof.py --seeds 0 1 --work-dir work_dirs/rap_sam_proof

Data and the CLIP of the words are made in the folder, unless $OMGSEG_TOY has them. A run that was interrupted goes on
with the next training or evaluation; after a change of the configs, begin in another folder.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from mmengine.config import Config

from omgseg.engine.config import one_line_errors
from omgseg.files import whole_file
from omgseg.tables import markdown_table
from omgseg.toy.generate import TINY, generate
from omgseg.toy.proof import ROOT, make_clip, run_python, say, write_text

TOY = ROOT / "configs" / "toy"
MODELS = {"RAP-SAM": Path(__file__).parent / "configs" / "toy.py", "OMG-Seg": TOY / "joint.py"}
EVALUATIONS = {
    "joint": {"coco_panoptic/PQ": "PQ"},
    "youtube_vis": {"youtube_vis/AP": "video AP"},
    "interactive": {"interactive/mIoU": "clicks mIoU"},
    "open_vocabulary": {"open_vocabulary/PQ_novel": "PQ, novel words"},
    "open_vocabulary_permuted": {"open_vocabulary/PQ_novel": "the same, words exchanged"},
}
"""Configs of configs/toy, and what is shown of their numbers."""
WANTED = {"PQ": 55, "video AP": 35, "clicks mIoU": 70}
MINUTES, SPEED = "minutes of training", "frames per second"
QUICK_ITERATIONS = 2


def run_tool(name: str, *arguments: str | Path) -> None:
    """Run a program of tools/, see :func:`run_python`."""
    run_python(ROOT / "tools" / f"{name}.py", *arguments)


def train(config: Path, folder: Path, seed: int, quick: bool) -> Path:
    """Train a toy config, unless its folder has the checkpoint already; beside it lies how long it took."""
    iterations = QUICK_ITERATIONS if quick else Config.fromfile(config).max_iters
    checkpoint = folder / f"iter_{iterations}.pth"
    if not (folder / "seconds.json").is_file():
        options = [f"randomness.seed={seed}", "log_level=ERROR"]
        if quick:
            options += [
                f"train_cfg.max_iters={iterations}",
                f"default_hooks.checkpoint.interval={iterations}",
            ]
        start = time.perf_counter()
        run_tool("train", config, "--work-dir", folder, "--cfg-options", *options)
        with whole_file(folder / "seconds.json") as temporary:
            temporary.write_text(json.dumps(time.perf_counter() - start))
    return checkpoint


def evaluate(config: Path, checkpoint: Path) -> dict[str, float]:
    """All numbers of a checkpoint, percent."""
    file = checkpoint.with_name("metrics.json")
    if not file.is_file():
        tests = [TOY / f"{name}.py" for name in EVALUATIONS]
        run_tool(
            "test", *tests, checkpoint, "--model", config, "--out", file, "--work-dir", file.parent / "test"
        )
    found = json.loads(file.read_text())["benchmarks"]
    return {
        title: found[name]["metrics"][key]
        for name, shown in EVALUATIONS.items()
        for key, title in shown.items()
    }


def frames_per_second(folders: Sequence[Path], result: Path, quick: bool) -> list[float]:
    """Of streams of the toy world's size, which take turns."""
    amount = ["--frames", "5", "--repeats", "1"] if quick else []
    run_tool("benchmark", "frames", "--configs", "--streams", *folders, "--json", result, *amount)
    return list(json.loads(result.read_text())["streams"].values())


def table(scores: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """Markdown: a row for each number, with its mean over the runs and half of the range by model."""
    names = list(next(iter(scores.values()))[0])
    rows = []
    for name in names:
        row = [name, f"{WANTED[name]:g}" if name in WANTED else ""]
        for runs in scores.values():
            values = np.array([run[name] for run in runs])
            row.append(f"{values.mean():.1f}" + (f" ± {np.ptp(values) / 2:.1f}" if len(values) > 1 else ""))
        rows.append(tuple(row))
    return markdown_table(("", "wanted", *scores), rows, right=range(1, 2 + len(scores)))


def prove(folder: Path, seeds: Sequence[int], quick: bool) -> dict[str, list[dict[str, float]]]:
    """Train and evaluate both models; write ``metrics.json`` and ``table.md``."""
    toy = Path(os.environ.setdefault("OMGSEG_TOY", str(folder.resolve())))  # where configs look for data
    generate(toy / "data", sizes=TINY if quick else None, report=say)
    make_clip(toy / "clip.safetensors", quick=quick)
    scores: dict[str, list[dict[str, float]]] = {name: [] for name in MODELS}
    for seed in seeds:
        runs = {name: folder / f"{name.lower()}_{seed}" for name in MODELS}
        for name, config in MODELS.items():
            found = evaluate(config, train(config, runs[name], seed, quick))
            minutes = json.loads((runs[name] / "seconds.json").read_text()) / 60
            scores[name].append({**found, MINUTES: minutes})
        speeds = frames_per_second(list(runs.values()), folder / f"streams_{seed}.json", quick)
        for name, speed in zip(MODELS, speeds, strict=True):
            scores[name][-1][SPEED] = speed
    write_text(folder / "metrics.json", json.dumps(dict(seeds=list(seeds), scores=scores), indent=2))
    write_text(folder / "table.md", table(scores))
    return scores


def main(argv: Sequence[str] | None = None) -> dict[str, list[dict[str, float]]]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1], help="of the trainings")
    parser.add_argument("--work-dir", type=Path, default=Path("work_dirs/rap_sam_proof"))
    parser.add_argument("--quick", action="store_true", help="hardly any data and steps: shows that it runs")
    args = parser.parse_args(argv)
    args.work_dir.mkdir(parents=True, exist_ok=True)
    scores = prove(args.work_dir, args.seeds, args.quick)
    say(f"\n{table(scores)}")
    return scores


if __name__ == "__main__":
    with one_line_errors():
        main()
