"""The toy proof of dynamic convolutions: a small ViT names crops of the toy world, and the toy SAM segments its things.

python projects/dynamic_conv_vit/toy_proof.py --seeds 0 1 --work-dir work_dirs/dynamic_conv_vit_proof

All variants have equal parameters and see equally many images. Trainings of SAM that were interrupted go on where they
were; after a change of the configs, begin in another folder.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config
from torch import Tensor, nn

from omgseg.engine.config import one_line_errors
from omgseg.projects.dynamic_conv_vit.dynamic_attention import DynamicAttention, DynamicDepthwiseConv
from omgseg.projects.edge_sam.toy_proof import evaluate
from omgseg.registry import MODELS
from omgseg.tables import markdown_table
from omgseg.toy.categories import NAMES
from omgseg.toy.crops import CROP_SIZE, Crops, sample_crops
from omgseg.toy.generate import TINY, generate
from omgseg.toy.proof import QUICK_ITERATIONS, say, train, write_text

WIDTH, HEADS, DEPTH, PATCH = 48, 4, 4, 6
POSITIONS = (CROP_SIZE // PATCH) ** 2
HIDDEN = 2 * WIDTH
BATCH, STEPS, LEARNING_RATE, WEIGHT_DECAY = 64, 400, 1e-3, 0.05
PICTURES, UNSEEN_PICTURES, QUICK_PICTURES, QUICK_STEPS = 1500, 150, 2, 1
LEVEL = 80.0
"""Percent of correct names, whose first evaluation is noted."""
EVALUATIONS = 20

MIXERS: dict[str, Callable[[], nn.Module]] = {
    "softmax": lambda: DynamicAttention(WIDTH, HEADS),
    "ReLU / N": lambda: DynamicAttention(WIDTH, HEADS, "relu_over_n"),
    "ReLU, then layer norm": lambda: DynamicAttention(WIDTH, HEADS, "relu_then_ln"),
    "layer norm, then ReLU": lambda: DynamicAttention(WIDTH, HEADS, "ln_then_relu"),
    "layer norm, then ReLU; affine": lambda: DynamicAttention(WIDTH, HEADS, "ln_then_relu", POSITIONS),
    "softmax, as many heads as channels": lambda: DynamicAttention(WIDTH, WIDTH),
    "dynamic depth-wise convolution": lambda: DynamicDepthwiseConv(WIDTH),
}

CONFIGS = Path(__file__).parent / "configs"
SAMS = {
    "softmax": CONFIGS / "toy_sam.py",
    "ReLU / N": CONFIGS / "toy_sam_relu_over_n.py",
    "ReLU, then layer norm": CONFIGS / "toy_sam_relu_then_ln.py",
    "layer norm, then ReLU": CONFIGS / "toy_sam_ln_then_relu.py",
    "layer norm, then ReLU; affine": CONFIGS / "toy_sam_ln_then_relu_affine.py",
    "dynamic depth-wise convolution": CONFIGS / "toy_sam_depthwise.py",
}
SAM_LEVEL = 70.0
"""Percent of mIoU with boxes, whose first evaluation is noted."""
SAM_EVALUATIONS = 6
PARTS = ("classification", "sam")
REPEATS = 15
"""Measured passes of each encoder."""

Run = dict[str, float | None]


class Block(nn.Module):
    """A block of a ViT on (B, C, H, W), with as many parameters as one with softmax: the MLP takes what the mixer
    leaves."""

    def __init__(self, mixer: nn.Module) -> None:
        super().__init__()
        budget = count(MIXERS["softmax"]()) - count(mixer)
        hidden = HIDDEN + budget // (2 * WIDTH + 1)
        self.norms = nn.ModuleList(nn.GroupNorm(1, WIDTH) for _ in range(2))
        self.mixer = mixer
        self.mlp = nn.Sequential(nn.Conv2d(WIDTH, hidden, 1), nn.GELU(), nn.Conv2d(hidden, WIDTH, 1))

    def forward(self, feature: Tensor) -> Tensor:
        feature = feature + self.mixer(self.norms[0](feature))
        return feature + self.mlp(self.norms[1](feature))


def count(module: nn.Module) -> int:
    """Parameters."""
    return sum(parameter.numel() for parameter in module.parameters())


class Classifier(nn.Module):
    """Crops (B, 3, 48, 48), 0..1, to logits (B, C)."""

    def __init__(self, mixer: Callable[[], nn.Module]) -> None:
        super().__init__()
        side = CROP_SIZE // PATCH
        self.patches = nn.Conv2d(3, WIDTH, PATCH, PATCH)
        self.positions = nn.Parameter(0.02 * torch.randn(1, WIDTH, side, side))
        self.blocks = nn.Sequential(*(Block(mixer()) for _ in range(DEPTH)))
        self.head = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, len(NAMES)))

    def forward(self, pixels: Tensor) -> Tensor:
        return self.head(self.blocks(self.patches(2 * pixels - 1) + self.positions).mean((2, 3)))


def pixels_of(crops: Crops, rows: np.ndarray | slice) -> Tensor:
    """(N, 3, 48, 48), 0..1."""
    return torch.from_numpy(crops.images[rows]).permute(0, 3, 1, 2).float() / 255


@torch.no_grad()
def accuracy(model: nn.Module, crops: Crops) -> float:
    """Percent of correct names."""
    model.eval()
    rows = (slice(start, start + 256) for start in range(0, len(crops.labels), 256))
    found = torch.cat([model(pixels_of(crops, some)).argmax(1) for some in rows])
    model.train()
    return 100 * float((found == torch.from_numpy(crops.labels)).float().mean())


def classify(name: str, seed: int, crops: Crops, unseen: Crops, steps: int) -> Run:
    """Train a variant.

    Returns:
        ``accuracy`` at the end, percent; ``steps``, after which it was first at least :data:`LEVEL`, None if never;
        ``ms`` of an optimiser step, the median.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = Classifier(MIXERS[name])
    optimizer = torch.optim.AdamW(model.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps, pct_start=0.1)
    times, reached, found = [], None, 0.0
    for step in range(1, steps + 1):
        rows = rng.integers(len(crops.labels), size=BATCH)
        start = time.perf_counter()
        loss = F.cross_entropy(model(pixels_of(crops, rows)), torch.from_numpy(crops.labels[rows]))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        times.append(time.perf_counter() - start)
        if step % max(steps // EVALUATIONS, 1) == 0 or step == steps:
            found = accuracy(model, unseen)
            reached = step if reached is None and found >= LEVEL else reached
    return {"accuracy": found, "steps": reached, "ms": 1000 * float(np.median(times))}


def segment(name: str, seed: int, folder: Path, iterations: int) -> Run:
    """Train a SAM.

    Returns:
        ``box`` and ``centre``, mIoU at the end with these prompts, percent; ``steps``, after which that with boxes was
        first at least :data:`SAM_LEVEL`, None if never.
    """
    file, every = SAMS[name], max(iterations // SAM_EVALUATIONS, 1)
    config = Config.fromfile(file)
    config.randomness.seed = seed
    run = folder / f"{file.stem}_{seed}"
    train(config, run, iterations, every)
    reached, found = None, {}
    for step in sorted({*range(every, iterations, every), iterations}):
        found = evaluate(file, run / f"iter_{step}.pth", folder / "test")
        reached = step if reached is None and found["box"] >= SAM_LEVEL else reached
    return {"box": found["box"], "centre": found["centre"], "steps": reached}


@torch.inference_mode()
def encoder_milliseconds(repeats: int) -> dict[str, float]:
    """The median time in which each SAM's encoder takes an image."""
    encoders = {}
    for name, file in SAMS.items():
        config = Config.fromfile(file).model.image_encoder
        encoders[name] = MODELS.build(config).eval(), torch.zeros(1, 3, config.image_size, config.image_size)
    times: dict[str, list[float]] = {name: [] for name in SAMS}
    for _ in range(repeats):
        for name, (encoder, image) in encoders.items():  # taking turns
            start = time.perf_counter()
            encoder(image)
            times[name].append(1000 * (time.perf_counter() - start))
    return {name: float(np.median(found)) for name, found in times.items()}


def table(
    runs: Mapping[str, Sequence[Run]], scores: Sequence[str], level: str, parameters: Mapping[str, int]
) -> str:
    """Markdown: a row for each variant, with means over the seeds, and half of the range of scores.

    Args:
        runs: variant -> its runs.
        scores: keys of runs, percent.
        level: that is reached after ``steps``.
        parameters: of each variant.
    """
    rows = []
    for name, found in runs.items():
        values = np.array([[one[score] for score in scores] for one in found])
        steps = [one["steps"] for one in found]
        rows.append(
            (
                name,
                parameters[name],
                *(f"{one.mean():.1f} ± {np.ptp(one) / 2:.1f}" for one in values.T),
                "never" if None in steps else f"{np.mean(steps):.0f}",
                f"{np.mean([one['ms'] for one in found]):.0f}",
            )
        )
    header = ("between the convolutions", "parameters", *(f"{score} %" for score in scores))
    header = (*header, f"steps to {level}", "ms")
    return markdown_table(header, rows, right=range(1, len(header)))


def prove_classification(seeds: Sequence[int], steps: int, quick: bool) -> dict[str, list[Run]]:
    """Train all variants of the classifier."""
    crops = sample_crops(0, QUICK_PICTURES if quick else PICTURES)
    unseen = sample_crops(1, QUICK_PICTURES if quick else UNSEEN_PICTURES)
    runs: dict[str, list[Run]] = {}
    for name in MIXERS:
        for seed in seeds:
            found = classify(name, seed, crops, unseen, QUICK_STEPS if quick else steps)
            runs.setdefault(name, []).append(found)
            say(f"classification, {name}, seed {seed}: {found}")
    return runs


def prove_sam(seeds: Sequence[int], iterations: int, folder: Path, quick: bool) -> dict[str, list[Run]]:
    """Train all variants of SAM."""
    toy = Path(os.environ.setdefault("OMGSEG_TOY", str(folder.resolve())))  # where configs look for data
    generate(toy / "data", sizes=TINY if quick else None, report=say)
    times = encoder_milliseconds(1 if quick else REPEATS)
    runs: dict[str, list[Run]] = {}
    for name in SAMS:
        for seed in seeds:
            found = segment(name, seed, folder, QUICK_ITERATIONS if quick else iterations)
            runs.setdefault(name, []).append({**found, "ms": times[name]})
            say(f"SAM, {name}, seed {seed}: {found}")
    return runs


def main(argv: Sequence[str] | None = None) -> dict[str, dict[str, list[Run]]]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--steps", type=int, default=STEPS, help="of each classifier")
    iterations = Config.fromfile(CONFIGS / "toy_sam.py").max_iters
    parser.add_argument("--iterations", type=int, default=iterations, help="of each SAM")
    parser.add_argument("--work-dir", type=Path, default=Path("work_dirs/dynamic_conv_vit_proof"))
    parser.add_argument("--quick", action="store_true", help="hardly any data and steps: shows that it runs")
    args = parser.parse_args(argv)
    folder = args.work_dir
    folder.mkdir(parents=True, exist_ok=True)
    runs, tables = {}, []
    if "classification" in args.parts:
        runs["classification"] = prove_classification(args.seeds, args.steps, args.quick)
        parameters = {name: count(Classifier(mixer)) for name, mixer in MIXERS.items()}
        text = table(runs["classification"], ["accuracy"], f"{LEVEL:.0f} %", parameters)
        tables.append(f"Crops of the toy world; ms of a training step:\n\n{text}")
    if "sam" in args.parts:
        runs["sam"] = prove_sam(args.seeds, args.iterations, folder, args.quick)
        parameters = {name: count(MODELS.build(Config.fromfile(file).model)) for name, file in SAMS.items()}
        text = table(runs["sam"], ["box", "centre"], f"{SAM_LEVEL:.0f} % (box)", parameters)
        tables.append(f"Toy SAM, mIoU of validation images; ms of an image in the encoder:\n\n{text}")
    write_text(folder / "metrics.json", json.dumps(dict(seeds=args.seeds, runs=runs), indent=2))
    write_text(folder / "table.md", "\n\n".join(tables))
    say("\n" + "\n\n".join(tables))
    return runs


if __name__ == "__main__":
    with one_line_errors():
        main()
