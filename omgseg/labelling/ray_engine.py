"""Labelling on many machines, or by several processes of one, through Ray Data."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

import numpy as np

from omgseg.labelling.labeller import Labeller, Record, Settings

IMAGES_A_TASK = 8
"""What one worker labels before it hands the records over: so much is done again when it dies."""
MAX_TASKS = 10_000


def label_with_ray(
    settings: Settings, images: Sequence[tuple[str, Path]], workers: int, images_a_task: int = IMAGES_A_TASK
) -> Iterator[Record]:
    """Label images; records come in any order.

    Uses the cluster of $RAY_ADDRESS, else starts Ray on this machine for the time of the call. Every worker holds a
    model, on a GPU of its own where there are any. A worker that dies is replaced, and its images are labelled again.
    All machines must see the images and the weights under the same paths.

    Args:
        settings: of every worker's :class:`Labeller`.
        images: names and paths.
        workers: number of models. Unless the settings say how many threads each of them has, they share the CPUs.
        images_a_task: see :data:`IMAGES_A_TASK`; more where there are many.

    Raises:
        ImportError: Ray Data is not installed.
        ValueError: there are fewer GPUs (without any: CPUs) than `workers`.
    """
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ImportError(f"Ray Data is not installed ({error}); pip install 'omgseg[ray]'") from error

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    started = not ray.is_initialized()
    if started:
        ray.init(log_to_driver=False, include_dashboard=False, logging_level=logging.ERROR)
    try:
        resources = ray.cluster_resources()
        kind = "GPU" if resources.get("GPU") else "CPU"
        available = int(resources.get(kind, 0))
        if workers > available:
            raise ValueError(
                f"{workers} workers, but Ray has {available} {kind}s; give --workers {available}"
            )
    except BaseException:
        if started:
            ray.shutdown()
        raise
    if settings.threads is None:
        settings = replace(settings, threads=max(int(resources.get("CPU", 0)) // workers, 1))
    return _records(settings, images, workers, images_a_task, kind == "GPU", started)


def _records(
    settings: Settings,
    images: Sequence[tuple[str, Path]],
    workers: int,
    images_a_task: int,
    on_gpus: bool,
    shut_down: bool,
) -> Iterator[Record]:
    import ray

    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    tasks = max(1, min(len(images) // max(images_a_task, settings.batch_size), MAX_TASKS))
    # paths may have bytes that are not UTF-8, which Arrow does not take
    rows = [{"name": name, "path": quote(os.fsencode(path))} for name, path in images]
    # Ray Data restarts workers that die, and their tasks with them
    dataset = ray.data.from_items(rows, override_num_blocks=tasks).map_batches(
        _Worker,
        fn_constructor_args=(settings,),
        batch_size=None,
        compute=ray.data.ActorPoolStrategy(size=workers),
        num_cpus=1,
        num_gpus=int(on_gpus),
    )
    try:
        for row in dataset.iter_rows():
            yield json.loads(row["record"])
    finally:
        if shut_down:
            ray.shutdown()


class _Worker:
    """A :class:`Labeller` as Ray Data wants it."""

    def __init__(self, settings: Settings) -> None:
        self._label = Labeller(settings)

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, list[str]]:
        paths = (Path(os.fsdecode(unquote_to_bytes(path))) for path in batch["path"].tolist())
        images = zip(batch["name"].tolist(), paths, strict=True)
        return {"record": [json.dumps(record) for record in self._label(images)]}
