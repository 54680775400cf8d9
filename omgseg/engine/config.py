"""Configs are checked before anything is built: a misspelt key is an error that names it, never silently ignored."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from mmengine.config import Config
from mmengine.registry import Registry
from mmengine.runner import Runner

from omgseg import registry

TOP_LEVEL = frozenset(inspect.signature(Runner.__init__).parameters) - {"self"} | {
    "activation_checkpointing",
    "compile",
    "custom_imports",
    "load_strict",
    "work_dir",
}
"""Keys that a config may have at its top whether or not its files set them."""

_ADDED_BY_BUILDERS = frozenset({"type", "_scope_", "_delete_", "constructor"})


class ConfigError(ValueError):
    """A key of a config or of ``--cfg-options`` does not exist."""


def near_matches(key: str, known: Collection[str]) -> str:
    """A sentence with the known keys that look like ``key``, or with all of them."""
    close = difflib.get_close_matches(key, known, n=3, cutoff=0.6)
    if close:
        return "Did you mean " + " or ".join(repr(name) for name in close) + "?"
    return "Known are: " + ", ".join(sorted(known)) + "." if known else "It has no keys."


def merge_options(cfg: Config, options: Mapping[str, Any]) -> None:
    """Apply ``--cfg-options``: ``{"model.decoder.num_queries": 50}`` changes the config in place.

    A key must exist, with two exceptions: settings of the runner (``TOP_LEVEL``), and new arguments of a class (a
    dictionary with ``type``), which :func:`check_arguments` compares with what the class accepts.

    Raises:
        ConfigError: the key does not exist; names near matches.
    """
    for dotted in options:
        _check_option(cfg, dotted)
    cfg.merge_from_dict(dict(options))


def _check_option(cfg: Config, dotted: str) -> None:
    node: Any = cfg
    parts = dotted.split(".")
    for depth, part in enumerate(parts):
        where = ".".join(parts[:depth]) or "the config's top level"
        if isinstance(node, Mapping | Config):
            if part not in node:
                if (depth == 0 and len(parts) == 1 and part in TOP_LEVEL) or "type" in node:
                    return
                raise ConfigError(
                    f"--cfg-options {dotted}: no key {part!r} in {where}. {near_matches(part, list(node.keys()))}"
                )
            node = node[part]
        elif isinstance(node, Sequence) and not isinstance(node, str):
            if not part.isdigit() or int(part) >= len(node):
                raise ConfigError(
                    f"--cfg-options {dotted}: {where} is a list of {len(node)}; {part!r} is no index of it"
                )
            node = node[int(part)]
        else:
            raise ConfigError(f"--cfg-options {dotted}: {where} is a value ({node!r}) and has no keys")


def check_arguments(cfg: Mapping[str, Any]) -> None:
    """Compare the arguments of everything that the config builds with the signatures of the classes.

    Looks at ``model``, the data loaders, evaluators and hooks. A class that passes on ``**kwargs`` is checked
    against its base classes; one that accepts anything is not checked, and names that no registry knows are left
    to the builder.

    Raises:
        ConfigError: names the argument's path in the config, the class, and near matches.
    """
    for section, registries in _SECTIONS.items():
        for path, node in _typed_dicts(cfg.get(section), section):
            cls = _find(node["type"], registries)
            accepted = accepted_arguments(cls) if inspect.isclass(cls) else None
            if accepted is None:
                continue
            for key in node:
                if key not in accepted and key not in _ADDED_BY_BUILDERS:
                    raise ConfigError(
                        f"{path}.{key}: {cls.__name__} ({cls.__module__}) has no argument {key!r}. "
                        f"{near_matches(key, accepted)}"
                    )


_DATA = (registry.DATASETS, registry.TRANSFORMS, registry.DATA_SAMPLERS)
_SECTIONS: dict[str, tuple[Registry, ...]] = {
    "model": (registry.MODELS,),
    "train_dataloader": _DATA,
    "val_dataloader": _DATA,
    "test_dataloader": _DATA,
    "val_evaluator": (registry.METRICS,),
    "test_evaluator": (registry.METRICS,),
    "default_hooks": (registry.HOOKS,),
    "custom_hooks": (registry.HOOKS,),
}


def _typed_dicts(node: Any, path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if isinstance(node, Mapping):
        if isinstance(node.get("type"), str | type):
            yield path, node
        for key, value in node.items():
            yield from _typed_dicts(value, f"{path}.{key}")
    elif isinstance(node, list | tuple):
        for index, value in enumerate(node):
            yield from _typed_dicts(value, f"{path}.{index}")


def _find(name: str | type, registries: tuple[Registry, ...]) -> Any:
    if not isinstance(name, str):
        return name
    for each in registries:
        try:
            found = each.get(name)
        except RuntimeError:  # mmengine's answer to an unknown name
            continue
        if found is not None:
            return found
    return None


def accepted_arguments(cls: type) -> set[str] | None:
    """Names that the constructor takes, following ``**kwargs`` to base classes; None if it takes any name."""
    names: set[str] = set()
    passes_on = False
    for base in cls.__mro__:
        if base is object:
            break
        if "__init__" not in vars(base):
            continue
        parameters = inspect.signature(base.__init__).parameters.values()
        names |= {p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)} - {"self"}
        passes_on = any(p.kind is p.VAR_KEYWORD for p in parameters)
        if not passes_on:
            break
    return None if passes_on else names
