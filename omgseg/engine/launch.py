"""From a command line to a config: what tools/train.py and tools/test.py share."""

from __future__ import annotations

import argparse
import contextlib
import gc
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from mmengine.config import Config, DictAction

from omgseg.engine.checkpoint import CheckpointError
from omgseg.engine.config import ConfigError, merge_options

LAUNCHERS = ("none", "pytorch", "slurm", "mpi")


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """End the program with one line where a file, a key or a checkpoint is not what the user meant."""
    try:
        yield
    except (CheckpointError, ConfigError, FileExistsError, FileNotFoundError) as error:
        sys.exit(f"{type(error).__name__}: {error}")


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
    """Give a benchmark its model.

    A benchmark names the config of its usual model (``default_model``) and, under ``model``, what it changes in models
    of that type: how they are read out. A model of another type brings its own settings.

    Args:
        config: a benchmark, or a whole config, which is returned as it is unless `model` replaces its model.
        model: another config, whose ``model`` and ``custom_imports`` are taken.

    Raises:
        FileNotFoundError: there is no such config.
        ConfigError: it has no model.
    """
    default = config.get("default_model")
    if model is None and default is None:
        return config
    chosen = _config_with_model(model or default)
    result = Config(config.to_dict(), filename=config.filename)
    for key in ("model", "custom_imports"):
        if key in chosen:
            result[key] = chosen[key]
    if default is not None and chosen.model.get("type") == _config_with_model(default).model.get("type"):
        result.merge_from_dict(dict(model=config.get("model", {})))
    return result


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
