"""The result of a benchmark as JSON-ready values and as a table."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from omgseg.benchmark.cases import CASES, SIDES
from omgseg.benchmark.checks import CHECKS
from omgseg.benchmark.peak_memory import peak_growth
from omgseg.benchmark.sizes import HeadSizes
from omgseg.benchmark.timing import take_turns


def environment() -> dict[str, Any]:
    """Where the numbers come from."""
    return {
        "device": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "load_average": os.getloadavg(),
    }


def run_checks(sizes: HeadSizes) -> dict[str, dict[str, Any]]:
    """All checks, by name."""
    results = {name: check(sizes) for name, check in CHECKS.items()}
    return {name: {**asdict(result), "passed": result.passed} for name, result in results.items()}


def run_case(name: str, sizes: HeadSizes, repeats: int) -> dict[str, Any]:
    """Times and extra memory of both sides, our gain, and whether it reaches the target."""
    case = CASES[name]
    memory = {side: peak_growth(name, side, sizes, torch.get_num_threads()) for side in SIDES}
    timings = take_turns(case, sizes, repeats)
    ours, mmdet = (timings[side] for side in SIDES)
    speedup = mmdet.seconds / ours.seconds
    share = memory["ours"] / memory["mmdet"]
    return {
        "compares": case.title,
        **{side: {**asdict(timings[side]), "extra_bytes": memory[side]} for side in SIDES},
        "speedup": speedup,
        "cpu_speedup": mmdet.cpu_seconds / ours.cpu_seconds,
        "memory_share": share,
        "target": {"speedup": case.speedup, "memory_share": case.memory},
        "reached": (case.speedup is None or speedup >= case.speedup)
        and (case.memory is None or share <= case.memory),
    }


def table(cases: dict[str, dict[str, Any]], checks: dict[str, dict[str, Any]]) -> Iterable[str]:
    """Lines to print."""
    yield "| case | seconds: ours, mmdet | faster (target) | extra MB: ours, mmdet | share (target) | reached |"
    yield "|---|---|---|---|---|---|"
    for name, case in cases.items():
        ours, mmdet, target = case["ours"], case["mmdet"], case["target"]
        speedup = f"{case['speedup']:.1f}x" + (f" ({target['speedup']}x)" if target["speedup"] else "")
        share = f"{case['memory_share']:.0%}"
        share += f" ({target['memory_share']:.0%})" if target["memory_share"] else ""
        yield (
            f"| {name} | {ours['seconds']:.2f}, {mmdet['seconds']:.2f} | {speedup}"
            f" | {ours['extra_bytes'] / 2**20:.0f}, {mmdet['extra_bytes'] / 2**20:.0f} | {share}"
            f" | {'yes' if case['reached'] else 'NO'} |"
        )
    yield ""
    for name, case in cases.items():
        yield f"{name}: {case['compares']}"
    for name, check in checks.items():
        verdict = "equal" if check["passed"] else "DIFFERENT"
        yield f"{name}: {verdict} (deviation {check['deviation']:.1e}, tolerance {check['tolerance']:.0e})"


def _processor() -> str:
    """Name of the processor."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
