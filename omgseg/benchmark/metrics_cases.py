"""What is measured of the metrics, and how."""

from __future__ import annotations

import contextlib
import copy
import gc
import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from omgseg.benchmark import metrics_data
from omgseg.benchmark.metrics_data import MetricSizes, Scenes
from omgseg.evaluation.functional.average_precision import summarize_ap
from omgseg.evaluation.metrics import (
    CocoInstanceMetric,
    CocoPanopticMetric,
    DavisMetric,
    VideoPanopticMetric,
    YouTubeVISMetric,
)
from omgseg.evaluation.metrics.base import SampleMetric

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
    own = results[f"workers {workers[0]}"].values
    deviations = {
        name: max(abs(own[key] - value) for key, value in result.values.items())
        for name, result in results.items()
    }
    return {
        "scores": case.title,
        "images": scenes.images,
        "seconds_per_100": {name: 100 * r.seconds / scenes.images for name, r in results.items()},
        "values": own,
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
