"""The benchmark of the metrics as a command: measure, print a table, write JSON."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import cv2
import torch

from omgseg.benchmark.metrics_cases import METRIC_CASES, run_metric_case
from omgseg.benchmark.metrics_data import MetricSizes
from omgseg.benchmark.report import environment


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--repeats", type=int, default=3, help="measured runs of each way (default 3)")
    parser.add_argument(
        "--cases", nargs="+", choices=METRIC_CASES, default=list(METRIC_CASES), help="default: all"
    )
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 2], help="threads (default: 0 2)")
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    for entry in fields(MetricSizes):
        flag = f"--{entry.name.replace('_', '-')}"
        if isinstance(entry.default, tuple):
            parser.add_argument(flag, type=int, nargs=2, metavar=("HEIGHT", "WIDTH"), default=entry.default)
        else:
            parser.add_argument(flag, type=int, default=entry.default)


def benchmark_metrics(args: argparse.Namespace) -> int:
    """Returns 0, or 1 when two ways of scoring do not give the same values."""
    # threads within a metric's own libraries would hide what its workers gain
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    sizes = MetricSizes(**{f.name: _as_field(getattr(args, f.name)) for f in fields(MetricSizes)})
    result: dict[str, Any] = {
        "environment": environment(),
        "repeats": args.repeats,
        "sizes": asdict(sizes),
        "cases": {},
    }
    for name in args.cases:
        print(f"measuring {name} ...", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            result["cases"][name] = run_metric_case(
                METRIC_CASES[name], sizes, args.workers, args.repeats, Path(folder)
            )
    print("\n" + "\n".join(metrics_table(result["cases"])))
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + "\n")
    return int(not all(case["passed"] for case in result["cases"].values()))


def metrics_table(cases: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Lines to print."""
    ways = list(dict.fromkeys(way for case in cases.values() for way in case["seconds_per_100"]))
    yield f"| seconds per 100 | images | {' | '.join(ways)} | values |"
    yield "|---" * (len(ways) + 3) + "|"
    for name, case in cases.items():
        seconds = (case["seconds_per_100"].get(way) for way in ways)
        cells = " | ".join("" if value is None else f"{value:.2f}" for value in seconds)
        deviation = max(case["deviation"].values())
        equal = "equal" if case["passed"] else f"DIFFERENT by {deviation:.1e}"
        yield f"| {name} | {case['images']} | {cells} | {equal} |"
    yield ""
    for name, case in cases.items():
        yield f"{name}: {case['scores']}"


def _as_field(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
