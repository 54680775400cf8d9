"""tools/train.py and tools/test.py as users run them: on annotations, pixels and gradients that are no numbers, and on
damaged files. They work, or end with one line that says where; and no weights become NaN unnoticed."""

from __future__ import annotations

import json
import math
import os
import random
import runpy
import shutil
import sys
import traceback
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.hooks import Hook
from PIL import Image

from omgseg.engine import read_checkpoint
from omgseg.inference.loading import RANDOM
from omgseg.registry import HOOKS
from tests.chaos.campaign import CLEAR, FAILURE, LONGEST_SENTENCE, RIGHT, Case, Outcome
from tests.chaos.evaluation import FILES
from tests.chaos.kills import run_until
from tests.chaos.mutations import BYTES, mutate_json, places
from tests.chaos.toy_eyes import write_eyes
from tests.small_toy import SMALL

ROOT = Path(__file__).parents[2]
TRAINING_COUNT, TESTING_COUNT = 24, 48
ITERATIONS = 4
NO_NUMBERS = (math.nan, math.inf, -math.inf)
ANNOTATIONS = (
    "coco/annotations/panoptic_train2017.json",
    "youtube_vis_2019/annotations/youtube_vis_2019_train.json",
)
FIELDS = ("annotations", "images", "videos")


@HOOKS.register_module(force=True)
class PoisonGradients(Hook):
    """Spoils the gradients of one iteration, whose losses are right."""

    def __init__(self, value: float, iteration: int) -> None:
        self.value, self.iteration = value, iteration

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        if runner.iter == self.iteration:
            for parameter in runner.model.parameters():
                if parameter.requires_grad:
                    parameter.register_hook(lambda gradient: gradient * self.value)


def _call(tool: str, arguments: Sequence[object], said: Path) -> int:
    """Run a tool; its exit status. What it says is written to a file."""
    with said.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.argv = [tool, *map(str, arguments)]
    try:
        runpy.run_path(str(ROOT / "tools" / tool), run_name="__main__")
    except SystemExit as leave:
        if isinstance(leave.code, str):
            print(leave.code, file=sys.stderr)
        return 1 if isinstance(leave.code, str) else leave.code or 0
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def _judged(tool: str, arguments: Sequence[object], folder: Path, *names: str) -> Outcome:
    """Run a tool and judge what it says last; an error names one of `names`."""
    said = folder / "said"
    status = run_until(partial(_call, tool, arguments, said), None).status
    text = said.read_text(errors="replace")
    last = (text.strip().splitlines() or [""])[-1]
    if "Traceback" in text:
        return Outcome(FAILURE, f"a traceback; the last line: {last[-300:]}")
    if status == 0:
        return Outcome(RIGHT)
    if status != 1 or not any(name in last for name in names):
        return Outcome(FAILURE, f"status {status}, and no sentence that says where: {last[-300:]}")
    if len(last) > LONGEST_SENTENCE:
        return Outcome(FAILURE, f"the error has {len(last)} characters: {last[:200]}")
    return Outcome(CLEAR, last)


def _no_number_in(file: Path, value: float, rng: random.Random) -> str:
    """Put a value into a random numeric field of an annotation file; returns which."""
    content = json.loads(file.read_text())
    found = [path for path in places(content) if path[0] in FIELDS and _is_number(content, path)]
    path = rng.choice(found)
    _parent(content, path)[path[-1]] = value
    file.write_text(json.dumps(content))
    return ".".join(map(str, path))


def _parent(content: Any, path: tuple[Any, ...]) -> Any:
    for key in path[:-1]:
        content = content[key]
    return content


def _is_number(content: Any, path: tuple[Any, ...]) -> bool:
    return type(_parent(content, path)[path[-1]]) in (int, float)


def _train(world: Path, what: str, value: float, seed: str, folder: Path) -> Outcome:
    rng = random.Random(seed)
    toy = folder / "toy"
    for name in ("coco", "VIPSeg", "youtube_vis_2019"):
        shutil.copytree(world / "data" / name, toy / "data" / name)
    os.environ["OMGSEG_TOY"] = str(toy)
    lines, names, field = "", [str(toy)], ""
    if what == "an annotation":
        file = toy / "data" / rng.choice(ANNOTATIONS)
        field = f"{file.name}, {_no_number_in(file, value, rng)}: "
    elif what == "a file's pixels":
        photo = rng.choice(sorted((toy / "data/coco/train2017").glob("*.jpg")))
        pixels = np.full((128, 128), 40, np.float32)
        pixels[::7] = value
        Image.fromarray(pixels).save(photo, format="TIFF")
    else:
        iteration = rng.randrange(ITERATIONS)
        lines = f"""
custom_hooks = [dict(type="PoisonGradients", value=float("{value}"), iteration={iteration})]
"""
        names = ["not finite"]
    config = folder / "small.py"
    config.write_text(SMALL + lines)
    options = [f"train_cfg.max_iters={ITERATIONS}", "default_hooks.checkpoint.interval=1"]
    arguments = [config, "--work-dir", folder / "run", "--cfg-options", *options]
    outcome = _judged("train.py", arguments, folder, *names)
    for file in sorted((folder / "run").glob("iter_*.pth")):
        weights = read_checkpoint(file)["state_dict"]
        if not all(tensor.isfinite().all() for tensor in weights.values()):
            return Outcome(FAILURE, f"{field}{file.name} holds weights that are not finite; {outcome.text}")
    return outcome._replace(text=field + outcome.text)


def training_cases(seed: int, count: int, world: Path) -> list[Case]:
    """Half of them in annotations."""
    rng = random.Random(f"training {seed}")
    ways = ("an annotation", "a file's pixels", "an annotation", "a gradient")
    return [
        Case(f"{number}: {value} in {way}", partial(_train, world, way, value, f"{seed} {number}"), 120)
        for number in range(count)
        for way, value in [(ways[number % len(ways)], rng.choice(NO_NUMBERS))]
    ]


def _test(world: Path, benchmark: Path, workers: int, seed: str, folder: Path) -> Outcome:
    rng = random.Random(seed)
    data = folder / "data"
    shutil.copytree(world / "data", data)
    os.environ.update(OMGSEG_DATA=str(data), OMGSEG_VOCABULARIES=str(world / "data/vocabularies"))
    files = _files_of(Config.fromfile(benchmark))
    kind = rng.choice(sorted({path.suffix for path in files}))
    file = rng.choice([path for path in files if path.suffix == kind])
    if kind == ".json" and rng.randrange(3):
        what, text = mutate_json(file.read_text(), rng)
        file.write_bytes(text.encode("utf-8", "surrogatepass"))
    else:
        what = rng.choice(list(BYTES))
        file.write_bytes(BYTES[what](file.read_bytes(), rng))
    model = ["--segmenter", write_eyes(folder / "eyes.py"), "--weights", RANDOM]
    loader = ["--cfg-options", f"test_dataloader.num_workers={workers}"]
    arguments = [benchmark, *model, "--work-dir", folder / "run", *loader]
    outcome = _judged("test.py", arguments, folder, str(data))
    return outcome._replace(text=f"{file.relative_to(data)}: {what}; {outcome.text}")


def _files_of(config: Config) -> list[Path]:
    """The files and folders that a test names, with all that is in them."""
    dataset = config.test_dataloader.dataset
    names = [name for name in (dataset.get("ann_file"),) if name] + list(dataset.data_prefix.values())
    named = [os.path.join(dataset.data_root, name) for name in names]
    for metric in (
        config.test_evaluator if isinstance(config.test_evaluator, list) else [config.test_evaluator]
    ):
        named += [metric[key] for key in ("ann_file", "seg_prefix") if key in metric]
    below = {file for name in named for file in (Path(name), *Path(name).rglob("*")) if file.is_file()}
    return sorted(file for file in below if "train" not in str(file))


def testing_cases(seed: int, count: int, world: Path) -> list[Case]:
    """The benchmarks in turn, each with one damaged file; of annotation files two of three have a changed field."""
    return [
        Case(
            f"{number}: {benchmark.stem}",
            partial(_test, world, benchmark, number % 2, f"{seed} {number}"),
            120,
        )
        for number in range(count)
        for benchmark in [FILES[number % len(FILES)]]
    ]
