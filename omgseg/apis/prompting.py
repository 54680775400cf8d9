"""Tasks and prompts of a call: which go together, and prompts on one image after the other."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from omgseg.apis.frames import Frame
from omgseg.apis.interactive import InteractivePredictor
from omgseg.apis.results import SegmentationResult
from omgseg.structures import Task, Vocabulary

PROMPTS = {Task.INTERACTIVE: ("points", "labels", "boxes"), Task.VOS: ("masks",)}


def to_task(name: str) -> Task:
    """Raises ValueError for an unknown name, with the nearest one."""
    known = [task.value for task in Task]
    if name not in known:
        near = get_close_matches(str(name), known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"unknown task {name!r}{hint} (tasks are {', '.join(known)})")
    return Task(name)


def check_prompts_given(task: Task, prompts: Mapping[str, Any] | None) -> None:
    """Prompts are there if the task needs some, and are those that it takes.

    Raises:
        ValueError: says what is missing or too much.
    """
    known = PROMPTS.get(task, ())
    if not known:
        if prompts is not None:
            raise ValueError(
                f"the task {task.value!r} takes no prompts; those with prompts: interactive, vos"
            )
        return
    for key in prompts or {}:
        if key not in known:
            raise ValueError(
                f"prompts of the task {task.value!r} have no key {key!r}; keys: {', '.join(known)}"
            )
    if task is Task.VOS and not prompts:
        raise ValueError(
            "the task 'vos' needs prompts={'masks': ...}, the objects in the first frame; or use seg.track"
        )
    if task is Task.INTERACTIVE and (not prompts or not {"points", "boxes"} & set(prompts)):
        raise ValueError("the task 'interactive' needs prompts={'points': [(x, y), ...]} or {'boxes': [...]}")


def predict_frame(
    predictor: InteractivePredictor,
    frame: Frame,
    prompts: Mapping[str, Any],
    vocabulary: Vocabulary | None = None,
) -> SegmentationResult:
    """The masks of the prompts in one image: one object where the points have labels, else one a prompt.

    Args:
        vocabulary: words to name the masks with; None: the predictor's own, if it has any.
    """
    with predictor.gate.open():
        own = predictor.vocabulary or None
        predictor.vocabulary = own if vocabulary is None else vocabulary
        try:
            predictor.set_image(frame.image)
            find = predictor.predict if prompts.get("labels") is not None else predictor.predict_many
            found = find(**prompts)
        finally:
            predictor.vocabulary = own
    return found.replace(path=frame.path, name=frame.name, image=frame.image)
