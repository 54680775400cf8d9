"""What a loaded model can do, as text, and the error for requests that it does not support.

A model states its abilities by :class:`~omgseg.protocols.Abilities` and by the protocols that it implements. Requests
beyond them raise :class:`UnsupportedRequest`, whose message also names what the model offers.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from omgseg.protocols import (
    PROMPT_KINDS,
    Abilities,
    ExemplarModel,
    MaskNamer,
    PromptableModel,
    Proposer,
    TrackingModel,
)
from omgseg.structures import Task

_NEEDS = {
    Task.INTERACTIVE: (PromptableModel, ExemplarModel),
    Task.EVERYTHING: Proposer,
    Task.VOS: TrackingModel,
}
"""Tasks that a model offers if and only if it implements the protocol, or one of several."""
_SHOWN_WORDS = 3


class UnsupportedRequest(ValueError):
    """A request that the model does not support.

    Args:
        wanted: the requested ability, as in "the model does not offer <wanted>".
        model: the loaded model.
    """

    def __init__(self, wanted: str, model: Any) -> None:
        super().__init__(f"the model does not offer {wanted}; it offers {describe(model)}")


def abilities_of(model: Any) -> Abilities:
    """The abilities that a model states, with the tasks that follow from its protocols.

    Args:
        model: implements any of :mod:`omgseg.protocols`.
    """
    tasks = set(model.abilities.tasks)
    for task, protocol in _NEEDS.items():
        (tasks.add if isinstance(model, protocol) else tasks.discard)(task)
    return replace(model.abilities, tasks=frozenset(tasks))


def describe(model: Any) -> str:
    """The tasks, prompts and words of a model, as one clause."""
    abilities = abilities_of(model)
    tasks = [task.value for task in Task if task in abilities.tasks]
    parts = [f"the tasks {', '.join(tasks)}" if tasks else "no task"]
    if prompts := [kind for kind in PROMPT_KINDS if kind in abilities.prompts]:
        parts.append(f"prompts by {', '.join(prompts)}")
    if abilities.needs_example:
        parts.append("segmentation by an example image and its mask")
    if isinstance(model, MaskNamer):
        parts.append("names for masks")
    if abilities.open_vocabulary:
        parts.append("any words")
    elif abilities.vocabulary:
        first = ", ".join(abilities.vocabulary.names[:_SHOWN_WORDS])
        more = ", ..." if len(abilities.vocabulary) > _SHOWN_WORDS else ""
        parts.append(f"its own {len(abilities.vocabulary)} words ({first}{more})")
    else:
        parts.append("no words")
    return " and ".join([", ".join(parts[:-1]), parts[-1]])


def require_task(model: Any, task: Task) -> None:
    """Raises UnsupportedRequest unless a model offers a task."""
    if task not in abilities_of(model).tasks:
        raise UnsupportedRequest(f"the task {task.value!r}", model)


def require_prompts(model: Any, *kinds: str) -> None:
    """Raises UnsupportedRequest unless a model takes prompts of all these kinds, see
    :data:`~omgseg.protocols.PROMPT_KINDS`."""
    for kind in kinds:
        if kind not in model.abilities.prompts:
            what = "negative clicks (labels)" if kind == "labels" else f"prompts by {kind}"
            raise UnsupportedRequest(what, model)
