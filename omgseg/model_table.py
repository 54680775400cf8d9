"""The table of models, which gives names to configs and weights, and to models of the hub (guests).

``configs/models.json`` lists the models whose configs are there, ``projects/<name>/models.json`` those of a project.
Reading the table loads no framework and opens no connection.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import huggingface_hub

from omgseg.messages import did_you_mean
from omgseg.protocols import PROMPT_KINDS
from omgseg.structures import Task

FILE = "models.json"
_PACKAGE = Path(__file__).parent
HUB = "hf:"
"""How the config of a guest begins: ``hf:owner/name[@revision]``."""
_REQUIRED = ("name", "title", "config", "licence", "tasks", "prompts")
_REQUIRED_OF_FILES = (*_REQUIRED, "weights", "parameters")
_OPTIONAL = ("megabytes", "sha256", "open_vocabulary", "figures", "paper", "note", "known_by", "gated")


@dataclass(frozen=True)
class ModelEntry:
    """A model of the table.

    Attributes:
        name: lower case, words joined by ``-``.
        title: one line.
        config: its config file; of a guest ``hf:owner/name[@revision]``.
        weights: where its published weights are, ``hf://owner/repository/file[@revision]`` or ``https://...``; None if
            none are published. Of a guest the same as `config`.
        licence: of the weights, as an SPDX name where there is one, or ``"unknown"``.
        tasks: the tasks that the model offers.
        prompts: the prompts that it takes, of :data:`omgseg.protocols.PROMPT_KINDS`.
        parameters: number of parameters, frozen ones included; rounded as the authors do where they publish no more.
            None if not known.
        open_vocabulary: whether it takes any words.
        megabytes, sha256: size and digest of the file of weights; None if not known.
        figures: the results of its paper, such as ``{"COCO PQ": 53.8}``.
        paper: address of the paper.
        note: what else users should know before they choose the model.
        known_by: tensors of its weights, with the shapes that no other model of the table has; empty if there are none.
        gated: whether its weights are given only to those who have accepted the licence on its page and are logged in.
    """

    name: str
    title: str
    config: Path | str
    weights: str | None
    licence: str
    tasks: frozenset[Task]
    prompts: frozenset[str]
    parameters: int | None
    open_vocabulary: bool = False
    megabytes: int | None = None
    sha256: str | None = None
    figures: Mapping[str, float] = field(default_factory=dict, hash=False)
    paper: str | None = None
    note: str | None = None
    known_by: Mapping[str, tuple[int, ...]] = field(default_factory=dict, hash=False)
    gated: bool = False


def configs_dir() -> Path:
    """Folder of the configs: in the installed package, or at the top of the repository.

    Raises:
        FileNotFoundError: the folder is in neither place.
    """
    return _shipped("configs")


def projects_dir() -> Path:
    """Folder of the projects; see :func:`configs_dir`."""
    return _shipped("projects")


def _shipped(name: str) -> Path:
    """A top folder of the repository, which is part of the package in a wheel.

    In a clone, ``omgseg/projects`` holds only an ``__init__.py`` that leads to ``projects/``, so the place of the table
    of models decides which folder is right.
    """
    for place in (_PACKAGE, _PACKAGE.parent):
        if (place / "configs" / FILE).is_file():
            return place / name
    raise FileNotFoundError(
        f"{_PACKAGE / 'configs' / FILE} not found: this installation of omgseg is not complete; install it again"
    )


def list_models() -> list[ModelEntry]:
    """All models of the table: those of ``configs/``, then those of the projects by the projects' names.

    Raises:
        ValueError: a table is not valid; the message names file, row and field.
    """
    return list(_table(configs_dir(), projects_dir()).values())


def find_model(name: str) -> ModelEntry:
    """The model of a name.

    Raises:
        FileNotFoundError: the name is unknown; the message gives similar names, or all names.
    """
    table = _table(configs_dir(), projects_dir())
    if name in table:
        return table[name]
    hint = did_you_mean(name, table) or f"; the names are {', '.join(table)}"
    raise FileNotFoundError(
        f"{name!r} is neither a model nor a file or folder here{hint} (`omgseg models` lists them)"
    )


def recognise(shapes: Mapping[str, tuple[int, ...]]) -> ModelEntry | None:
    """The model of the table whose weights these are, by :attr:`ModelEntry.known_by`; None if it is none of them.

    Args:
        shapes: name to shape of all tensors.
    """
    fitting = [
        entry
        for entry in list_models()
        if entry.known_by and all(shapes.get(name) == shape for name, shape in entry.known_by.items())
    ]
    return max(fitting, key=lambda entry: len(entry.known_by), default=None)


@functools.cache
def _table(configs: Path, projects: Path) -> Mapping[str, ModelEntry]:
    table: dict[str, ModelEntry] = {}
    for file in (configs / FILE, *sorted(projects.glob(f"*/{FILE}"))):
        for entry in read_table(file):
            if entry.name in table:
                raise ValueError(f"{file}: {entry.name!r} is already the name of {table[entry.name].config}")
            table[entry.name] = entry
    return MappingProxyType(table)


def is_local(location: str | Path) -> bool:
    """Whether weights can be read without a download: a file that exists, or an ``hf://`` file or ``hf:`` model in the
    cache of huggingface_hub. Opens no connection."""
    text = str(location)
    if not text.startswith(HUB):
        return Path(location).expanduser().is_file()
    place, _, revision = text.removeprefix(HUB).removeprefix("//").partition("@")
    parts = [*place.split("/", 2), *([] if text.startswith("hf://") else ["config.json"])]
    if len(parts) < 3:
        return False
    owner, repository, file = parts
    cached = huggingface_hub.try_to_load_from_cache(f"{owner}/{repository}", file, revision=revision or None)
    return isinstance(cached, str)


def read_table(file: Path) -> list[ModelEntry]:
    """The rows of one table; their configs are relative to its folder.

    Raises:
        ValueError: the file is not JSON, or a row is not valid; the message names file, row and field.
    """
    try:
        rows = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file} is not valid JSON: {error}") from error
    if not isinstance(rows, list):
        raise ValueError(f"{file}: the table must be a list of rows, not {type(rows).__name__}")
    return [_entry(file, number, row) for number, row in enumerate(rows, 1)]


def _entry(file: Path, number: int, row: Any) -> ModelEntry:
    where = f"{file}, row {number}"
    if not isinstance(row, dict):
        raise ValueError(f"{where}: a row must be an object, not {type(row).__name__}")
    is_guest = str(row.get("config")).startswith(HUB)
    if missing := [key for key in (_REQUIRED if is_guest else _REQUIRED_OF_FILES) if key not in row]:
        raise ValueError(f"{where}: {', '.join(missing)} missing")
    if surplus := sorted(set(row) - {*_REQUIRED_OF_FILES, *_OPTIONAL}):
        raise ValueError(f"{where}: unknown field {', '.join(surplus)}")
    if is_guest:
        if "weights" in row:
            raise ValueError(
                f"{where}, weights: those of {row['config']} lie beside its config; leave them out"
            )
        row = {"parameters": None, **row, "weights": row["config"]}
    config = row["config"] if is_guest else file.parent / row["config"]
    if isinstance(config, Path) and not config.is_file():
        raise ValueError(f"{where}, config: {config} not found")
    try:
        tasks = frozenset(Task(task) for task in row["tasks"])
    except ValueError as error:
        raise ValueError(f"{where}, tasks: {error}") from error
    if unknown := sorted(set(row["prompts"]) - set(PROMPT_KINDS)):
        raise ValueError(f"{where}, prompts: unknown {', '.join(unknown)}; give {', '.join(PROMPT_KINDS)}")
    known_by = {name: tuple(shape) for name, shape in row.get("known_by", {}).items()}
    prompts = frozenset(row["prompts"])
    return ModelEntry(**{**row, "config": config, "tasks": tasks, "prompts": prompts, "known_by": known_by})
