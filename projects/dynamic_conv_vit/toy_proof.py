"""The toy proof of dynamic convolutions: a small ViT names crops of the toy world; all variants have equal parameters.

python projects/dynamic_conv_vit/toy_proof.py --seeds 0 1 --work-dir work_dirs/dynamic_conv_vit_proof
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from omgseg.engine.config import one_line_errors
from omgseg.files import whole_file
from omgseg.projects.dynamic_conv_vit.dynamic_attention import DynamicAttention, DynamicDepthwiseConv
from omgseg.tables import markdown_table
from omgseg.toy.categories import NAMES
from omgseg.toy.crops import CROP_SIZE, Crops, sample_crops

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


def run(name: str, seed: int, crops: Crops, unseen: Crops, steps: int) -> dict[str, float | None]:
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


def table(runs: Mapping[str, Sequence[Mapping[str, float | None]]]) -> str:
    """Markdown: a row for each variant, with the mean over the seeds and half of the range."""
    rows = []
    for name, found in runs.items():
        values = np.array([one["accuracy"] for one in found])
        steps = [one["steps"] for one in found]
        rows.append(
            (
                name,
                count(Classifier(MIXERS[name])),
                f"{values.mean():.1f} ± {np.ptp(values) / 2:.1f}",
                "never" if None in steps else f"{np.mean(steps):.0f}",
                f"{np.mean([one['ms'] for one in found]):.0f}",
            )
        )
    header = ("between the convolutions", "parameters", "accuracy %", f"steps to {LEVEL:.0f} %", "ms a step")
    return markdown_table(header, rows, right=range(1, 5))


def main(argv: Sequence[str] | None = None) -> dict[str, list[dict[str, float | None]]]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--steps", type=int, default=STEPS, help="of each training")
    parser.add_argument("--work-dir", type=Path, default=Path("work_dirs/dynamic_conv_vit_proof"))
    parser.add_argument("--quick", action="store_true", help="hardly any data and steps: shows that it runs")
    args = parser.parse_args(argv)
    args.work_dir.mkdir(parents=True, exist_ok=True)
    crops = sample_crops(0, QUICK_PICTURES if args.quick else PICTURES)
    unseen = sample_crops(1, QUICK_PICTURES if args.quick else UNSEEN_PICTURES)
    runs: dict[str, list[dict[str, float | None]]] = {}
    for name in MIXERS:
        for seed in args.seeds:
            found = run(name, seed, crops, unseen, QUICK_STEPS if args.quick else args.steps)
            runs.setdefault(name, []).append(found)
            print(f"{name}, seed {seed}: {found}", flush=True)
    content = json.dumps(dict(seeds=args.seeds, runs=runs), indent=2)
    for file, text in (("metrics.json", content), ("table.md", table(runs))):
        with whole_file(args.work_dir / file) as temporary:
            temporary.write_text(text + "\n")
    print(f"\n{table(runs)}", flush=True)
    return runs


if __name__ == "__main__":
    with one_line_errors():
        main()
