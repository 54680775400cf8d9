"""Loads a model from a name, a config or the work folder of a training; no dataset is read."""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmengine.utils import import_modules_from_strings

from omgseg.engine import (
    ConfigError,
    check_arguments,
    is_model_location,
    model_folder,
    read_checkpoint,
    words_of,
)
from omgseg.engine.run_folder import newest_checkpoint
from omgseg.messages import did_you_mean
from omgseg.protocols import Segmenter
from omgseg.registry import MODELS, SEGMENTERS
from omgseg.structures import Vocabulary

ConfigOrRun = Config | Mapping[str, Any] | str | Path
RANDOM = "random"
"""Value of `weights` for a model with random weights; nothing is read or downloaded."""
GUEST_CONFIG = "config.json"
"""In a folder of the layout of transformers: the config of a guest, whose weights lie beside it."""
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def load(
    config_or_run: ConfigOrRun,
    weights: str | Path | None = None,
    device: str = "auto",
    dtype: str = "auto",
    *,
    scale: tuple[int, int] | None = None,
) -> Segmenter:
    """Load a model for prediction.

    The config's ``segmenter=dict(type=..., **options)`` names the factory in :data:`~omgseg.registry.SEGMENTERS`;
    without this key the class of the config's ``model`` names its own (its attribute ``segmenter``). ``type`` may also
    be a callable, or the dotted path of one.

    Args:
        config_or_run: a name of the table of models (``omgseg models`` lists them), a config file, a config, the
            work folder of ``tools/train.py``; or a guest (:mod:`omgseg.guests`): ``hf:owner/name`` of the hub, or a
            folder with a ``config.json`` of transformers.
        weights: a file, ``hf://owner/repository/file`` (which is downloaded unless the cache has it), or ``"random"``;
            for a guest a folder, or ``hf:owner/name``. None: for a name the published weights, if they are in the
            cache; for a work folder the newest checkpoint; for a guest what lies beside its config; for a config
            random weights, with a warning. Only weights that are given here are downloaded.
        device: where to compute, e.g. ``"cpu"``, ``"cuda:1"``; ``"auto"``: the accelerator if there is one.
        dtype: ``"float32"``, ``"bfloat16"`` (autocast) or ``"auto"``: bfloat16 on an accelerator that computes with it.
        scale: (width, height) to which images are resized, instead of the config's test size.

    Returns:
        The model. Its ``abilities`` and the protocols that it implements say what it can do.

    Raises:
        FileNotFoundError: the name is unknown; or the config, the work folder or the weights do not exist.
        ImportError: the model is a guest, and transformers is not installed.
        ConfigError: the config has neither a model nor a segmenter, or an argument that a class does not take; or the
            model takes no `scale`.
        CheckpointError: the weights are damaged, or belong to another model.
        ValueError: the device or dtype is unknown, or `scale` is not a size.
    """
    is_random = weights is not None and str(weights) == RANDOM
    located, weights = locate_model(config_or_run, weights)
    config = read_config(located)
    factory, options = segmenter_of(config)
    if scale is not None:
        options["scale"] = _checked_scale(scale)
    _check_options(factory, options)
    if is_random and "pretrained" in options:  # weights that the segmenter itself would read
        options["pretrained"] = None
    place = choose_device(device)
    return factory(config=config, weights=weights, device=place, dtype=choose_dtype(dtype, place), **options)


def load_abilities(config_or_run: ConfigOrRun) -> Segmenter:
    """Load a model without weights, to read its abilities and protocols; it predicts nothing. See :func:`load`.

    Weights take neither time nor memory (torch's meta device), unless the model needs their values when it is built.
    """
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel("ERROR")  # no warning about random weights
    try:
        with torch.device("meta"):
            return load(config_or_run, RANDOM, device="meta")
    except (NotImplementedError, RuntimeError):  # of operations that read or copy what is not there
        return load(config_or_run, RANDOM, device="cpu")
    finally:
        logger.setLevel(level)


def locate_model(
    config_or_run: ConfigOrRun, weights: str | Path | None = None
) -> tuple[ConfigOrRun, str | Path | None]:
    """Locate the config and the weights of a model; for the arguments see :func:`load`.

    Returns:
        A config file, or the given config; and the weights, a file or a guest's folder, None for random ones.
        :func:`load` takes both.

    Raises:
        FileNotFoundError: the name is unknown; the file does not exist; the folder has no config or no checkpoint; or
            the published weights are not in the cache.
        TypeError: `config_or_run` is neither a name, a path nor a config.
    """
    random = weights is not None and str(weights) == RANDOM
    chosen_weights = None if random else weights
    if is_model_location(chosen_weights):
        chosen_weights = model_folder(str(chosen_weights), download=True)
    if is_model_location(config_or_run):
        config_or_run = model_folder(str(config_or_run), download=False)
    if isinstance(config_or_run, Mapping | Config):
        return config_or_run, chosen_weights
    if not isinstance(config_or_run, str | Path) or not str(config_or_run):
        raise TypeError(
            "config_or_run is a name, a config file, a config or the folder of a training, "
            f"not {config_or_run!r}"
        )
    path = Path(config_or_run).expanduser()
    if (path / GUEST_CONFIG).is_file():
        return path / GUEST_CONFIG, path if weights is None else chosen_weights
    if path.is_dir():
        return config_of_run(path), newest_checkpoint(path) if weights is None else chosen_weights
    if path.is_file():
        return path, chosen_weights
    if isinstance(config_or_run, Path) or path.suffix == ".py" or len(path.parts) > 1:
        raise FileNotFoundError(f"config {config_or_run} not found")
    from omgseg.model_table import find_model  # here, as most calls do not need the table

    entry = find_model(str(config_or_run))
    if is_model_location(entry.config):
        return locate_model(entry.config, weights)
    return entry.config, _published_weights(entry.name, entry.weights) if weights is None else chosen_weights


def _published_weights(name: str, location: str | None) -> str:
    """The location of published weights, if they can be loaded without a download."""
    from omgseg.model_table import is_local

    if location is None:
        raise FileNotFoundError(
            f"{name} has no published weights; give weights=FILE, or weights={RANDOM!r} for random ones"
        )
    if not is_local(location):
        how = f"weights={location!r} downloads them"
        if not location.startswith("hf://"):
            how = f"get {location} and give weights=FILE"
        raise FileNotFoundError(
            f"the weights of {name} are not on this machine; {how}; weights={RANDOM!r} takes random ones"
        )
    return location


def config_of_run(folder: Path) -> Path:
    """The newest copy of a config that ``tools/train.py`` wrote into its work folder.

    Raises:
        FileNotFoundError: the folder has no config.
    """
    configs = sorted(folder.glob("*.py"), key=lambda path: path.stat().st_mtime)
    if not configs:
        raise FileNotFoundError(
            f"folder {folder} has no config (*.py), so it is not the work folder of a training; give a config file, "
            f"the folder that tools/train.py --work-dir wrote, or that of a guest, with its {GUEST_CONFIG}"
        )
    return configs[-1]


def read_config(config: ConfigOrRun) -> Config:
    """Read and check a config; a config object is copied. The modules of its ``custom_imports`` are imported.

    Raises:
        FileNotFoundError: the file does not exist.
        ConfigError: the config has neither a model nor a segmenter, has an argument that a class does not take, or
            imports a module that does not exist.
    """
    if isinstance(config, str | Path) and not Path(config).is_file():
        raise FileNotFoundError(f"config {config} not found")
    try:
        if isinstance(config, str | Path) and Path(config).name == GUEST_CONFIG:
            config = Config(dict(segmenter=dict(type="load_guest")), filename=str(config))
        elif isinstance(config, str | Path):
            config = Config.fromfile(config)
        else:
            filename = config.filename if isinstance(config, Config) else None
            content = config.to_dict() if isinstance(config, Config) else dict(config)
            config = Config(content, filename=filename)
            if "custom_imports" in config:
                import_modules_from_strings(**config.custom_imports)
    except ImportError as error:
        raise ConfigError(
            f"{_named(config)} imports a module that is not installed or not on Python's path ({error}); install it, "
            "or correct custom_imports"
        ) from error
    except OSError as error:  # mmengine reads a copy in the folder for temporary files
        if error.errno is not None and error.filename is None:
            error.filename = tempfile.gettempdir()
        raise
    if "model" not in config and "segmenter" not in config:
        raise ConfigError(
            f"{_named(config.filename)} has neither a key 'model' nor a key 'segmenter'; add one"
        )
    init_default_scope(config.get("default_scope", "omgseg"))
    # other parts of the config, such as the hooks of the training, are not built and need not be registered
    check_arguments({"model": config.get("model")})
    return config


def _named(config: object) -> str:
    """A config in an error: with its file, if it has one."""
    return f"the config {config}" if isinstance(config, str | Path) and str(config) else "the config"


def segmenter_of(config: Config) -> tuple[Callable[..., Segmenter], dict[str, Any]]:
    """The factory of a config's segmenter, and the options that the config gives it."""
    options = dict(config.get("segmenter") or {})
    name = options.pop("type", None)
    if name is None:
        kind = config.get("model", {}).get("type")
        model = kind if inspect.isclass(kind) else _registered(MODELS, kind, "model.type")
        name = getattr(model, "segmenter", None)
        if name is None:
            raise ConfigError(
                f"the model {model.__name__} has no attribute 'segmenter': add segmenter=dict(type=...) to the config, "
                "with the name of a factory in the registry SEGMENTERS"
            )
    return name if callable(name) else _registered(SEGMENTERS, name, "segmenter.type"), options


def _registered(registry: Any, name: Any, where: str) -> Any:
    """The class or function of a name. Raises ConfigError for an unknown name."""
    try:
        registered = registry.get(name) if isinstance(name, str) else None
    except RuntimeError:  # of mmengine, for an unknown name
        registered = None
    if registered is None:
        raise ConfigError(
            f"{where} is {name!r}, which is not in the registry of {registry.name}s"
            f"{did_you_mean(name, registry.module_dict)}; correct the name, or import the module that registers it "
            "with custom_imports=dict(imports=['...'])"
        )
    return registered


def _checked_scale(scale: tuple[int, int]) -> tuple[int, int]:
    """The scale as a tuple. Raises ValueError for anything but two positive integers."""
    sides = tuple(scale) if isinstance(scale, list | tuple) else ()
    if len(sides) != 2 or not all(isinstance(side, int) and side > 0 for side in sides):
        raise ValueError(f"scale must be (width, height) in pixels, two integers above 0, not {scale!r}")
    return sides


def _check_options(factory: Callable[..., Segmenter], options: Mapping[str, Any]) -> None:
    """Raises ConfigError for an option that the factory does not take."""
    accepted = inspect.signature(factory).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in accepted.values()):
        return
    name = getattr(factory, "__name__", str(factory))
    for key in options:
        if key == "scale" and key not in accepted:
            raise ConfigError(f"{name} takes no scale: its model has a fixed image size; leave scale out")
        if key not in accepted:
            known = sorted(set(accepted) - {"config", "weights", "device", "dtype"})
            raise ConfigError(
                f"segmenter.{key}: {name} has no such option (options: {', '.join(known) or 'none'})"
            )


def checkpoint_words(weights: str | Path) -> Vocabulary | None:
    """The words of the training that :class:`~omgseg.engine.VocabularyHook` wrote into a checkpoint; None if it has
    none. The model is not built.

    Raises:
        FileNotFoundError: the file does not exist.
        CheckpointError: the file is not a checkpoint.
    """
    return words_of(read_checkpoint(weights))


def choose_device(name: str | torch.device) -> torch.device:
    """The device of a name.

    Args:
        name: a device name of PyTorch, or ``"auto"``: the accelerator if there is one, else the CPU.

    Raises:
        ValueError: this machine has no such device.
    """
    try:
        device = torch.device(get_device() if name == "auto" else name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(
            f"device {name!r} cannot be used here ({reason}); device='auto' takes the accelerator if there is one, "
            "else the CPU"
        ) from error
    return device


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """The precision of the computation.

    Args:
        name: ``"float32"``, ``"bfloat16"``, or ``"auto"``: bfloat16 on an accelerator that supports it, else float32.
        device: where to compute.

    Raises:
        ValueError: the name is unknown.
    """
    if name in DTYPES:
        return DTYPES[name]
    if name != "auto":
        raise ValueError(f"unknown dtype {name!r}; give auto, {' or '.join(DTYPES)}")
    accelerator = torch.accelerator.current_accelerator()
    if accelerator is None or accelerator.type != device.type:
        return torch.float32
    supported = getattr(torch.get_device_module(device), "is_bf16_supported", None)
    return torch.bfloat16 if supported is not None and supported() else torch.float32
