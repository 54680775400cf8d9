"""From a command line to a config, which is checked before anything is built: errors name the key and near names."""

from __future__ import annotations

import argparse
import contextlib
import gc
import inspect
import math
import re
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.config import Config, DictAction
from mmengine.registry import FUNCTIONS, LOOPS, OPTIM_WRAPPERS, OPTIMIZERS, PARAM_SCHEDULERS, Registry
from mmengine.runner import Runner

from omgseg import registry
from omgseg.datasets.embedding_cache import EmbeddingCacheError
from omgseg.messages import did_you_mean, names_a_file
from omgseg.models.checkpoints.loading import CheckpointError

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
    """A key or a name in a config or in ``--cfg-options`` does not exist, or a value cannot be meant."""


class NonFiniteLossError(ArithmeticError):
    """A loss or a weight became NaN or infinite."""


class UnsupportedBenchmark(ConfigError):
    """A benchmark asks for something that the model cannot do."""


def _near_or_known(key: str, known: Collection[str]) -> str:
    """The end of a sentence: the known keys that look like ``key``, or else all of them."""
    return did_you_mean(key, known) or (
        "; known are: " + ", ".join(sorted(known)) if known else "; it has no keys"
    )


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
                    f"--cfg-options {dotted}: no key {part!r} in {where}{_near_or_known(part, list(node.keys()))}"
                )
            node = node[part]
        elif isinstance(node, Sequence) and not isinstance(node, str):
            if not part.isdigit() or int(part) >= len(node):
                raise ConfigError(
                    f"--cfg-options {dotted}: {where} is a list of {len(node)}; {part!r} is not an index of it"
                )
            node = node[int(part)]
        else:
            raise ConfigError(f"--cfg-options {dotted}: {where} is a value ({node!r}) and has no keys")


def check_arguments(cfg: Mapping[str, Any]) -> None:
    """Compare the names and the arguments of everything that the config builds with the classes that exist.

    Looks at the model, data loaders, evaluators, hooks, loops, optimizer and schedules. A class that passes on
    ``**kwargs`` is checked against its base classes; one that accepts anything is not checked. Inside of a model,
    whose parts may be built in any way, names that no registry knows are left to the builder.

    Raises:
        ConfigError: names the path in the config, the class, and near matches.
    """
    for section, rule in _SECTIONS.items():
        for path, node in _typed_dicts(_with_default_type(cfg.get(section), rule), section):
            cls = _find(node["type"], rule.registries)
            if cls is None and (path == section or not rule.free_inside):
                raise ConfigError(_unknown_name(path, node["type"], rule.registries))
            accepted = accepted_arguments(cls) if inspect.isclass(cls) else None
            if accepted is None:
                continue
            for key in node:
                if key not in accepted and key not in _ADDED_BY_BUILDERS | rule.more_keys:
                    raise ConfigError(
                        f"{path}.{key}: {cls.__name__} ({cls.__module__}) has no argument {key!r}"
                        f"{_near_or_known(key, accepted - {'self', 'runner', 'dataloader', 'evaluator'})}"
                    )


def check_values(cfg: Mapping[str, Any]) -> None:
    """Refuse numbers with which training would fail late, or do nothing.

    Raises:
        ConfigError: names the path in the config, the value, and what it must be.
    """
    for path, value in _leaves(cfg, ""):
        for pattern, (fits, wanted) in _NUMBERS.items():
            if re.fullmatch(pattern, path) and not fits(value):
                raise ConfigError(f"{path} is {value!r}; it must be {wanted}")


@contextlib.contextmanager
def unknown_names_as_config_errors() -> Iterator[None]:
    """Turn mmengine's error about a name that is in no registry into one line with the names that are near.

    Raises:
        ConfigError: a part of a config has an unknown ``type``.
    """
    try:
        yield
    except KeyError as error:
        found = re.search(r"(\S+) is not in the \S*?(?:::)?(\w+) registry", str(error.args[0]))
        if found is None:
            raise
        name, kind = found.groups()
        known = [one for group in _all_registries() if group.name == kind for one in _names(group)]
        raise ConfigError(
            f"type={name!r}: there is no {kind} of this name{did_you_mean(name, known)}"
        ) from error


class _Section(NamedTuple):
    """What stands under a top-level key of a config.

    Attributes:
        registries: where the classes are.
        default: gives the class of the section itself where it names none.
        more_keys: keys besides the class's arguments.
        free_inside: names inside of the section may be in no registry.
    """

    registries: tuple[Registry, ...]
    default: Callable[[Mapping[str, Any]], str] | None = None
    more_keys: frozenset[str] = frozenset()
    free_inside: bool = False


_DATA = _Section((registry.DATASETS, registry.TRANSFORMS, registry.DATA_SAMPLERS, FUNCTIONS))
_METRICS = _Section((registry.METRICS,))
_HOOKS = _Section((registry.HOOKS,))
_SECTIONS: dict[str, _Section] = {
    "model": _Section((registry.MODELS,), free_inside=True),
    "train_dataloader": _DATA,
    "val_dataloader": _DATA,
    "test_dataloader": _DATA,
    "val_evaluator": _METRICS,
    "test_evaluator": _METRICS,
    "default_hooks": _HOOKS,
    "custom_hooks": _HOOKS,
    "train_cfg": _Section(
        (registry.LOOPS, LOOPS),
        lambda cfg: "EpochBasedTrainLoop" if cfg.get("by_epoch") else "IterBasedTrainLoop",
        frozenset({"by_epoch"}),
    ),
    "val_cfg": _Section((registry.LOOPS, LOOPS), lambda cfg: "ValLoop"),
    "test_cfg": _Section((registry.LOOPS, LOOPS), lambda cfg: "TestLoop"),
    "optim_wrapper": _Section(
        (registry.OPTIM_WRAPPERS, OPTIM_WRAPPERS, OPTIMIZERS),
        lambda cfg: "OptimWrapper",
        frozenset({"paramwise_cfg", "dtype"}),
    ),
    "param_scheduler": _Section((PARAM_SCHEDULERS,), more_keys=frozenset({"convert_to_iter_based"})),
}


def _whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


_COUNT = (lambda value: _whole(value, 1), "a whole number of at least 1")
_NUMBERS: dict[str, tuple[Callable[[Any], bool], str]] = {
    r"train_cfg\.(max_iters|max_epochs|val_interval)": _COUNT,
    r"(train|val|test)_dataloader\.batch_size": _COUNT,
    r"(train|val|test)_dataloader\.num_workers": (
        lambda value: _whole(value, 0),
        "a whole number of at least 0",
    ),
    r"optim_wrapper\.accumulative_counts": _COUNT,
    r"optim_wrapper\.optimizer\.lr": (lambda value: _finite(value) and value > 0, "a number above 0"),
    r"optim_wrapper\.optimizer\.weight_decay": (
        lambda value: _finite(value) and value >= 0,
        "a number of at least 0",
    ),
    r"randomness\.seed": (
        lambda value: value is None or (_whole(value, 0) and value < 2**32),
        "a whole number of 0 to 4294967295, or None for one by chance",
    ),
    r"default_hooks\.checkpoint\.interval": (
        lambda value: _whole(value, 1) or value == -1,
        "a whole number of at least 1, or -1 to write none",
    ),
    r"default_hooks\.logger\.interval": _COUNT,
    r"model\.(.*\.)?num_(queries|points|heads)": _COUNT,
}


def _leaves(node: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(node, Mapping | Config):
        for key in node:
            yield from _leaves(node[key], f"{path}.{key}" if path else str(key))
    else:
        yield path, node


def _with_default_type(node: Any, section: _Section) -> Any:
    if isinstance(node, Mapping) and "type" not in node and section.default is not None:
        return {"type": section.default(node), **node}
    return node


def _unknown_name(path: str, name: str, registries: Sequence[Registry]) -> str:
    kinds = " or ".join(dict.fromkeys(group.name.replace("_", " ") for group in registries))
    known = [one for group in registries for one in _names(group)]
    return f"{path}.type: there is no {kinds} of the name {name!r}{did_you_mean(name, known)}"


def _all_registries() -> Iterator[Registry]:
    for rule in _SECTIONS.values():
        yield from rule.registries


def _names(registry_: Registry) -> Iterator[str]:
    """Names in a registry and in those that it looks into next."""
    node: Registry | None = registry_
    while node is not None:
        yield from node.module_dict
        node = node.parent


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
    for group in registries:
        try:
            found = group.get(name)
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


LAUNCHERS = ("none", "pytorch", "slurm", "mpi")


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """End the program with one line where a file, a key, a checkpoint or a cache is not what the user meant, a disk
    fails, or a training diverged. Any other error keeps its traceback."""
    try:
        yield
    except (CheckpointError, ConfigError, EmbeddingCacheError, NonFiniteLossError, OSError) as error:
        sys.exit(f"{type(error).__name__}: {_sentence_of(error)}")
    except ValueError as error:
        if not names_a_file(ValueError(_sentence_of(error))):
            raise
        sys.exit(f"{type(error).__name__}: {_sentence_of(error)}")


def _sentence_of(error: Exception) -> str:
    """The message of an error; of one that was raised where PyTorch's workers read data, without the worker's traceback
    before it."""
    text = str(error)
    found = list(re.finditer(r"^[\w.]+: ", text, re.MULTILINE))
    return text[found[-1].end() :].rstrip() if found and "Original Traceback" in text else text


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of mmengine's usual tools that training and testing share."""
    parser.add_argument(
        "--work-dir", help="folder of logs and checkpoints; default work_dirs/<name of the config>"
    )
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=DictAction,
        help="change settings: key=value; nested keys with dots, list elements by number, lists as a,b or [a,b]",
    )
    parser.add_argument("--launcher", choices=LAUNCHERS, default="none", help="what started the processes")


def load_config(file: str, args: argparse.Namespace) -> Config:
    """Read a config and apply the options of the command line: ``--model`` (of tools that have it) and the others.

    Raises:
        FileNotFoundError: there is no such config.
        ConfigError: an option names a key that does not exist.
    """
    if not Path(file).is_file():
        raise FileNotFoundError(f"config {file} not found")
    cfg = with_model(Config.fromfile(file), getattr(args, "model", None))
    merge_options(cfg, args.cfg_options or {})
    cfg.launcher = args.launcher
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get("work_dir") is None:
        cfg.work_dir = str(Path("work_dirs") / Path(file).stem)
    return cfg


def with_model(config: Config, model: str | Path | None = None) -> Config:
    """Put the model of another config into a benchmark.

    A benchmark says under ``readout`` what it changes in the ``test_cfg`` of models of the type of its own. A model of
    another type brings settings of its own.

    Args:
        config: a benchmark, or any config.
        model: the other config, whose ``model`` and ``custom_imports`` are taken; None leaves all as it is.

    Raises:
        FileNotFoundError: there is no such config.
        ConfigError: it has no model.
    """
    if model is None:
        return config
    chosen = _config_with_model(model)
    content = config.to_dict()
    content |= {key: chosen[key] for key in ("model", "custom_imports") if key in chosen}
    result = Config(content, filename=config.filename)
    merge_readout(result, config)
    return result


def merge_readout(config: Config, benchmark: Config) -> None:
    """Merge a benchmark's ``readout`` into the ``test_cfg`` of a config's model, if it is of the type of the
    benchmark's own model."""
    same_type = config.get("model", {}).get("type") == benchmark.get("model", {}).get("type")
    if same_type and "readout" in benchmark:
        config.merge_from_dict(dict(model=dict(test_cfg=benchmark.readout)))


def _config_with_model(file: str | Path) -> Config:
    if not Path(file).is_file():
        raise FileNotFoundError(f"--model {file} not found")
    config = Config.fromfile(file)
    if "model" not in config:
        raise ConfigError(f"--model {file} has no key 'model'")
    return config


def enable_amp(cfg: Config) -> None:
    """Train in bfloat16 autocast."""
    cfg.optim_wrapper.type = "Bf16OptimWrapper"


def enable_lr_scaling(cfg: Config) -> None:
    """Scale the learning rate with the batch.

    Raises:
        ConfigError: the config does not say for which batch its learning rate is.
    """
    if "base_batch_size" not in cfg.get("auto_scale_lr", {}):
        raise ConfigError("--auto-scale-lr: the config has no auto_scale_lr.base_batch_size to scale from")
    cfg.auto_scale_lr.enable = True


def leave_process_group() -> None:
    """End the group of processes that a launcher made, if one did; call it when nothing uses the runner any more.

    Without it gloo's threads outlive Python now and then, fail to return their last tensors to it, and abort a process
    whose work is done: the launcher would report a failure.
    """
    if torch.distributed.is_initialized():
        gc.collect()  # the runner, whose parts refer to each other, holds the group too
        torch.distributed.destroy_process_group()  # now holds it alone, and waits for its threads


def set_resume(cfg: Config, resume: str | None) -> None:
    """Continue from a checkpoint file, or from the newest one of the work folder (``"auto"``)."""
    if resume is not None:
        cfg.resume = True
        cfg.load_from = None if resume == "auto" else resume
