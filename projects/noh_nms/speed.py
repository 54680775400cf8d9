"""The time of the processor, of all threads, that each NMS takes.

python projects/noh_nms/speed.py --boxes 1000

With OMP_NUM_THREADS=1 before it, that of one core.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import nms

from omgseg.projects.noh_nms.suppression import METHODS, suppress
from omgseg.tables import markdown_table

A_PERSON = 10
"""Boxes of each person."""


def made_up_crowd(count: int) -> dict[str, Tensor]:
    """Boxes of people who stand close together, several a person: arguments of :func:`suppress`."""
    rng = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=rng)

    persons = torch.rand(-(-count // A_PERSON), 2, generator=rng) * 25 * count**0.5
    corners = persons.repeat_interleave(A_PERSON, 0)[:count] + normal(count, 2) * 4
    sizes = torch.tensor([40.0, 100.0]) * (1 + 0.1 * normal(count, 2).clamp(-3, 3))
    boxes = torch.cat([corners, corners + sizes], 1)
    nearby = boxes + torch.tensor([20.0, 0, 20, 0]) + normal(count, 4)
    scores, probs = torch.rand(count, generator=rng), torch.rand(count, generator=rng)
    return dict(boxes=boxes, scores=scores, nearby_boxes=nearby, nearby_probs=probs)


def milliseconds(crowd: dict[str, Tensor], repeats: int) -> dict[str, list[float]]:
    """Times of the processor of each method, and of torchvision's greedy NMS."""
    calls = {method: lambda method=method: suppress(method=method, **crowd) for method in METHODS}
    calls["torchvision's greedy NMS"] = lambda: nms(crowd["boxes"], crowd["scores"], 0.5)
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():  # taking turns
            start = time.process_time()
            call()
            times[name].append(1000 * (time.process_time() - start))
    return times


def main(argv: Sequence[str] | None = None) -> dict[str, list[float]]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--boxes", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=30)
    args = parser.parse_args(argv)
    times = milliseconds(made_up_crowd(args.boxes), args.repeats)
    rows = [(name, f"{np.median(found):.1f}", f"{min(found):.1f}") for name, found in times.items()]
    threads = torch.get_num_threads()
    print(f"{args.boxes} boxes, {threads} thread{'s' * (threads > 1)}, {args.repeats} runs\n")
    print(markdown_table(("method", "ms, median", "ms, fastest"), rows, right=(1, 2)))
    return times


if __name__ == "__main__":
    main()
