"""Several models on the same images: what each finds, how long it takes, and how much memory."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path

from omgseg.engine.benchmarks import peak_bytes, reset_peak
from omgseg.inference.abilities import abilities_of, describe
from omgseg.inference.inferencer import DEFAULT_TASKS, OMGSegInferencer
from omgseg.inference.loading import RANDOM, load_abilities
from omgseg.inference.results import SegmentationResult
from omgseg.structures import Task, Vocabulary
from omgseg.structures.images import read_image


@dataclass(frozen=True)
class Competitor:
    """A model to compare.

    Attributes:
        name: shown to users.
        config, weights: what :func:`~omgseg.inference.loading.load` takes; weights None: random ones.
    """

    name: str
    config: str
    weights: str | None


@dataclass(frozen=True)
class Question:
    """What all models are asked; see :meth:`OMGSegInferencer.__call__`.

    Attributes:
        images: files that can be read.
        device, dtype: see :func:`~omgseg.inference.loading.load`.
    """

    images: tuple[Path, ...]
    task: str
    vocabulary: Vocabulary | None = None
    background: tuple[str, ...] | None = None
    min_score: float | None = None
    device: str = "auto"
    dtype: str = "auto"


@dataclass
class Answer:
    """What a model answers.

    Attributes:
        name: of the model.
        results: one per image, without pixels; empty where it could not answer.
        seconds_per_image: mean wall time from pixels to run lengths, after one image that is not counted.
        peak_bytes: highest memory in use while it predicted, weights included: of the GPU where there is one, else the
            RAM of its process with all libraries. 0 where the system does not tell.
        note: why it could not answer.
    """

    name: str
    results: list[SegmentationResult] = field(default_factory=list)
    seconds_per_image: float | None = None
    peak_bytes: int | None = None
    note: str = ""


def common_task(competitors: Sequence[Competitor]) -> str:
    """The first of the inferencer's default tasks that all models offer. No weights are read.

    Raises:
        ValueError: there is none; the message says what each model offers.
        FileNotFoundError, ImportError, ConfigError, CheckpointError: a model cannot be built.
    """
    offered: dict[str, frozenset[Task]] = {}
    texts = []
    for competitor in competitors:
        model = load_abilities(competitor.config)
        offered[competitor.name] = abilities_of(model).tasks
        texts.append(f"{competitor.name} offers {describe(model)}")
    task = next((one for one in DEFAULT_TASKS if all(one in tasks for tasks in offered.values())), None)
    if task is None:
        raise ValueError(f"the models share no task: {'; '.join(texts)}")
    return task.value


def answer_apart(competitor: Competitor, question: Question) -> Answer:
    """As :func:`answer`, in a process of its own: no model finds the memory of another one in use, and none fails
    with another one."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        try:
            return pool.submit(answer, competitor, question).result()
        except BrokenProcessPool:
            return Answer(competitor.name, note="its process was killed; is there enough memory?")


def answer(competitor: Competitor, question: Question) -> Answer:
    """Load a model and segment the images, one after another. What goes wrong is the answer's note."""
    try:
        weights = RANDOM if competitor.weights is None else competitor.weights
        model = OMGSegInferencer(competitor.config, weights, question.device, question.dtype)
        asked = dict(
            task=question.task,
            vocabulary=question.vocabulary,
            background=None if question.background is None else list(question.background),
            min_score=question.min_score,
        )
        model(read_image(question.images[0]), **asked)
        reset_peak()
        seconds = 0.0
        results = []
        for path in question.images:
            image = read_image(path)
            start = time.perf_counter()
            result = model(image, **asked)
            seconds += time.perf_counter() - start
            results.append(result.replace(image=None, path=path, name=path.stem))
        return Answer(competitor.name, results, seconds / len(results), peak_bytes())
    except (ImportError, OSError, ValueError, RuntimeError) as error:
        return Answer(competitor.name, note=" ".join(str(error).split()) or type(error).__name__)
