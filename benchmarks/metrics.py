"""The speed of our metrics, without and with workers, and that all ways give the same values."""

from __future__ import annotations

import argparse
import contextlib
import copy
import gc
import io
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from benchmarks import metrics_data
from benchmarks.metrics_data import MetricSizes, Scenes
from benchmarks.processes import environment
from omgseg.evaluation.functional.average_precision import summarize_ap
from omgseg.evaluation.metrics import (
    CocoInstanceMetric,
    CocoPanopticMetric,
    DavisMetric,
    VideoPanopticMetric,
    YouTubeVISMetric,
)
from omgseg.evaluation.metrics.base import SampleMetric
from omgseg.tables import markdown_table

TOLERANCE = 1e-4
"""Of values in percent, between us and another implementation; that of the reference values."""


class PycocotoolsMetric(CocoInstanceMetric):
    """Our metric with pycocotools' evaluator in place of faster-coco-eval's."""

    def evaluate_entries(self, entries: list[dict[str, Any]], image_ids: list[Any]) -> dict[str, float]:
        with contextlib.redirect_stdout(io.StringIO()):
            truth = COCO()
            truth.dataset = copy.deepcopy(self.ground_truth)
            truth.createIndex()
            evaluator = COCOeval(truth, truth.loadRes(copy.deepcopy(entries)), "segm")
            evaluator.evaluate()
            evaluator.accumulate()
        tables, parameters = evaluator.eval, evaluator.params
        return summarize_ap(tables["precision"], tables["recall"], parameters.iouThrs, parameters.maxDets)


@dataclass(frozen=True)
class MetricCase:
    """A metric and what it scores.

    Attributes:
        title: what is scored.
        metric: ours.
        scenes: makes samples and files.
        peer: another implementation that must give the same values, and its name.
    """

    title: str
    metric: type[SampleMetric]
    scenes: Callable[[Path, MetricSizes], Scenes]
    peer: type[SampleMetric] | None = None
    peer_name: str = ""


METRIC_CASES = {
    "pq": MetricCase("PQ of images, PNGs read", CocoPanopticMetric, metrics_data.panoptic_images),
    "vpq": MetricCase("VPQ and STQ of frames, PNGs read", VideoPanopticMetric, metrics_data.panoptic_videos),
    "ap": MetricCase(
        "mask AP of images, masks encoded",
        CocoInstanceMetric,
        metrics_data.instance_images,
        PycocotoolsMetric,
        "pycocotools",
    ),
    "jf": MetricCase("J&F of frames, PNGs read", DavisMetric, metrics_data.object_videos),
    "track_ap": MetricCase(
        "mask AP of tracks, frames, masks encoded before", YouTubeVISMetric, metrics_data.track_videos
    ),
}


@dataclass(frozen=True)
class MetricResult:
    """What one way of scoring gives.

    Attributes:
        seconds: for all samples, of the fastest run: what other work disturbed least.
        values: in percent.
    """

    seconds: float
    values: dict[str, float]


def run_metric_case(
    case: MetricCase, sizes: MetricSizes, workers: list[int], repeats: int, folder: Path
) -> dict[str, Any]:
    """Seconds per 100 images for each number of workers (and the peer), and whether all values are equal."""
    scenes = case.scenes(folder, sizes)
    ways: dict[str, Callable[[], SampleMetric]] = {
        f"workers {count}": lambda count=count: case.metric(num_workers=count, **scenes.arguments)
        for count in workers
    }
    if case.peer is not None:
        ways[case.peer_name] = lambda: case.peer(num_workers=0, **scenes.arguments)
    results = _take_turns(ways, scenes, repeats)
    values = results[f"workers {workers[0]}"].values
    deviations = {
        name: max(abs(values[key] - value) for key, value in result.values.items())
        for name, result in results.items()
    }
    return {
        "scores": case.title,
        "images": scenes.images,
        "seconds_per_100": {name: 100 * r.seconds / scenes.images for name, r in results.items()},
        "values": values,
        "deviation": deviations,
        "passed": all(
            value <= (TOLERANCE if name == case.peer_name else 0) for name, value in deviations.items()
        ),
    }


def _take_turns(
    ways: dict[str, Callable[[], SampleMetric]], scenes: Scenes, repeats: int
) -> dict[str, MetricResult]:
    """Score in each way, in turns, so that a machine's other work disturbs all alike; the first turn warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    values: dict[str, dict[str, float]] = {}
    for repeat in range(repeats + 1):
        for name, build in ways.items():
            metric = build()
            metric.dataset_meta = {"vocabulary": metrics_data.make_vocabulary()}
            gc.collect()
            start = time.perf_counter()
            for sample in scenes.samples:
                metric.process(None, [dict(sample)])
            values[name] = metric.evaluate(len(scenes.samples))
            if repeat:
                seconds[name].append(time.perf_counter() - start)
    return {name: MetricResult(min(seconds[name]), _defined(values[name])) for name in ways}


def _defined(values: dict[str, float]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items() if not np.isnan(value)}


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


def run(args: argparse.Namespace) -> int:
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
    rows = []
    for name, case in cases.items():
        seconds = (case["seconds_per_100"].get(way) for way in ways)
        cells = ["" if value is None else f"{value:.2f}" for value in seconds]
        deviation = max(case["deviation"].values())
        equal = "equal" if case["passed"] else f"DIFFERENT by {deviation:.1e}"
        rows.append((name, case["images"], *cells, equal))
    yield markdown_table(("seconds per 100", "images", *ways, "values"), rows)
    yield ""
    for name, case in cases.items():
        yield f"{name}: {case['scores']}"


def _as_field(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
