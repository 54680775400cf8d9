"""Labelling with Ray Data, on many machines or in several processes of one."""

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

IMAGES_PER_TASK = 8
"""Images that a worker labels before it returns their records; they are labelled again if it dies."""
MAX_TASKS = 10_000


def label_with_ray(
    settings: Settings,
    images: Sequence[tuple[str, Path]],
    workers: int,
    images_per_task: int = IMAGES_PER_TASK,
) -> Iterator[Record]:
    """Label images; yields records in any order.

    Uses the cluster of $RAY_ADDRESS, else starts Ray on this machine for the time of the call. Each worker loads a
    model, on its own GPU if there are GPUs. A worker that dies is replaced, and its images are labelled again. All
    machines must have the images and the weights under the same paths.

    Args:
        settings: settings of the :class:`Labeller` of each worker. Without `threads` the workers share the CPUs.
        images: names and paths.
        workers: number of models.
        images_per_task: see :data:`IMAGES_PER_TASK`; raised if there would be more than :data:`MAX_TASKS` tasks.

    Raises:
        ImportError: Ray Data is not installed.
        ValueError: there are fewer GPUs (or, without GPUs, CPUs) than `workers`.
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
    return _records(settings, images, workers, images_per_task, kind == "GPU", started)


def _records(
    settings: Settings,
    images: Sequence[tuple[str, Path]],
    workers: int,
    images_per_task: int,
    on_gpus: bool,
    shut_down: bool,
) -> Iterator[Record]:
    import ray

    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    tasks = max(1, min(len(images) // max(images_per_task, settings.batch_size), MAX_TASKS))
    # Arrow takes only UTF-8, which paths need not be
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
    """A :class:`Labeller` with the interface of Ray Data."""

    def __init__(self, settings: Settings) -> None:
        self._label = Labeller(settings)

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, list[str]]:
        paths = (Path(os.fsdecode(unquote_to_bytes(path))) for path in batch["path"].tolist())
        images = zip(batch["name"].tolist(), paths, strict=True)
        return {"record": [json.dumps(record) for record in self._label(images)]}
