"""Read-outs of guests against those of transformers' image processors, on the same outputs of queries.

The outputs are made up: queries that are sure of a class and a disc each, as many as an image has objects, and queries
of nothing. Both sides run in one process and take turns; time is that of the fastest run.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

import omgseg
from benchmarks.processes import environment
from omgseg.datasets.vocabularies import load_vocabulary
from omgseg.protocols import Request
from omgseg.structures import Task
from omgseg.tables import markdown_table

QUERIES = 100
CELLS = {"Mask2Former": (200, 272), "EoMT": (160, 160)}
"""Size of mask logits for an image of 800x1066 (height, width) pixels."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--repeats", type=int, default=5, help="measured runs per side (default 5)")
    parser.add_argument("--size", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"), default=(800, 1066))
    parser.add_argument("--objects", type=int, default=15, help="queries that are sure (default 15)")
    parser.add_argument("--threads", type=int, help="threads of PyTorch (default: PyTorch's own choice)")
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")


def run(args: argparse.Namespace) -> int:
    if args.threads:
        torch.set_num_threads(args.threads)
    result: dict[str, Any] = {"environment": environment(), "seconds": {}}
    rows = []
    for name in CELLS:
        model = small_guest(name)
        output = made_up_output(CELLS[name], len(model.abilities.vocabulary), args.objects)
        for task in Task.PANOPTIC, Task.INSTANCE, Task.SEMANTIC:
            theirs, ours = measure(model, output, task, tuple(args.size), args.repeats)
            result["seconds"][f"{name} {task.value}"] = {"transformers": theirs, "omgseg": ours}
            rows.append([name, task.value, f"{theirs:.3f}", f"{ours:.3f}", f"{theirs / ours:.1f}"])
    print(
        markdown_table(["model", "read-out", "transformers, s", "omgseg, s", "ratio"], rows, right={2, 3, 4})
    )
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + "\n")
    return 0


def small_guest(name: str) -> Any:
    """A guest with the classes of COCO panoptic and a small network, which is not run."""
    import transformers

    ordered = sorted(load_vocabulary("coco_panoptic"), key=lambda category: category.id)
    words = {number: category.name for number, category in enumerate(ordered)}
    if name == "EoMT":
        config = transformers.EomtConfig(
            hidden_size=16, num_hidden_layers=2, num_attention_heads=2, num_blocks=1, id2label=words
        )
        network = transformers.EomtForUniversalSegmentation(config)
        processor = transformers.EomtImageProcessor(do_pad=True)
    else:
        backbone = transformers.SwinConfig(embed_dim=8, depths=[1] * 4, num_heads=[1] * 4)
        config = transformers.Mask2FormerConfig(backbone_config=backbone, decoder_layers=2, id2label=words)
        network = transformers.Mask2FormerForUniversalSegmentation(config)
        processor = transformers.Mask2FormerImageProcessor()
    with tempfile.TemporaryDirectory() as folder:
        network.save_pretrained(folder)
        processor.save_pretrained(folder)
        return omgseg.load(folder, device="cpu", dtype="float32")


def made_up_output(cells: tuple[int, int], num_classes: int, num_objects: int) -> SimpleNamespace:
    """``class_queries_logits`` (1, Q, C + 1) and ``masks_queries_logits`` (1, Q, h, w)."""
    generator = torch.Generator().manual_seed(0)
    classes = torch.randn(1, QUERIES, num_classes + 1, generator=generator)
    classes[..., -1] += 10
    sure = torch.randint(num_classes, (num_objects,), generator=generator)
    classes[0, torch.arange(num_objects), sure] += 20
    rows, columns = torch.meshgrid(*(torch.linspace(0, 1, side) for side in cells), indexing="ij")
    x, y, radius = torch.rand(3, QUERIES, 1, 1, generator=generator)
    masks = (radius / 4 + 0.05 - ((rows - y) ** 2 + (columns - x) ** 2).sqrt()) * 40
    return SimpleNamespace(class_queries_logits=classes, masks_queries_logits=masks[None], patch_offsets=None)


def measure(
    model: Any, output: SimpleNamespace, task: Task, size: tuple[int, int], repeats: int
) -> tuple[float, float]:
    """Seconds of the image processor, and of the guest, whose run lengths count, too."""
    image = np.zeros((*size, 3), np.uint8)
    model.forward = lambda images, task: output
    read = getattr(model.processor, f"post_process_{task.value}_segmentation")
    stuff = np.flatnonzero(~model.words.is_thing).tolist()
    fused = (
        {"stuff_classes": stuff}
        if hasattr(model.processor, "do_split_image")
        else {"label_ids_to_fuse": {*stuff}}
    )
    options = {Task.PANOPTIC: fused, Task.INSTANCE: {"threshold": 0.3}, Task.SEMANTIC: {}}[task]

    def theirs() -> None:
        read(output, target_sizes=[size], **options)

    def ours() -> None:
        model.predict([image], Request(task, min_score=0.3 if task is Task.INSTANCE else 0.0))

    seconds: dict[Callable[[], None], list[float]] = {theirs: [], ours: []}
    for _ in range(repeats + 1):  # the first turn does not count
        for side, times in seconds.items():
            start = time.perf_counter()
            side()
            times.append(time.perf_counter() - start)
    return min(seconds[theirs][1:]), min(seconds[ours][1:])
