"""One inferencer used by eight threads: each gets what it would get alone."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from omgseg.inference import OMGSegInferencer
from tests.chaos.campaign import FAILURE, RIGHT, Case, Outcome
from tests.tiny_omgseg import config_for_calls, scene, tiny_inferencer

COUNT = 8
THREADS, CALLS = 8, 16
"""A case has so many calls in each thread: the eight cases have 1,024."""


def _calls(seg: OMGSegInferencer) -> dict[str, Callable[[], Any]]:
    """Calls that set pictures, words and streams of their own in the model."""
    one, other = scene(), np.ascontiguousarray(scene(15)[::-1])
    film = np.stack([scene(5 * shift) for shift in range(3)])
    objects = np.zeros(one.shape[:2], np.uint8)
    objects[20:60, 30:70] = 3
    point = {"points": [(50, 40)]}
    return {
        "panoptic": lambda: seg(one),
        "instance": lambda: seg(other, "instance", min_score=0),
        "words": lambda: seg(one, "semantic", ["moose", "elk"], background=[]),
        "other words": lambda: seg(other, "semantic", ["lamp", "desk"], background=[]),
        "click": lambda: seg(one, "interactive", prompts=point),
        "click elsewhere": lambda: seg(other, "interactive", prompts=point),
        "named click": lambda: seg(other, "interactive", ["lamp", "desk"], prompts=point),
        "video": lambda: list(seg(film, "instance", min_score=0)),
        "stream": lambda: list(seg.stream(film, "panoptic")),
        "track": lambda: list(seg.track(film, objects)),
    }


def _run(seed: str, folder: Path) -> Outcome:
    calls = _calls(tiny_inferencer(config_for_calls(folder)))
    alone = {name: call() for name, call in calls.items()}
    wrong: list[str] = []

    def work(number: int) -> None:
        rng = random.Random(f"{seed} {number}")
        for _ in range(CALLS):
            name = rng.choice(list(calls))
            try:
                if calls[name]() != alone[name]:
                    wrong.append(name)
            except Exception as error:
                wrong.append(f"{name}: {error!r}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return (
        Outcome(FAILURE, f"{len(wrong)} of {THREADS * CALLS} calls differ: {wrong[:5]}")
        if wrong
        else Outcome(RIGHT)
    )


def cases(seed: int, count: int, world: Path) -> list[Case]:
    """Which thread does what is drawn from the seed."""
    return [
        Case(f"{n}: {THREADS * CALLS} calls", partial(_run, f"threads {seed} {n}"), seconds=1200)
        for n in range(count)
    ]
