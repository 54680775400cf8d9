"""Any model that :func:`omgseg.load` loads, in any benchmark."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from omgseg.engine import CheckpointError, ConfigError
from omgseg.engine.config import merge_readout
from omgseg.engine.seam_model import SeamModel
from omgseg.inference.frame_by_frame import FrameByFrame
from omgseg.inference.loading import RANDOM, load, locate_model, read_config, segmenter_of
from omgseg.protocols import VideoModel
from omgseg.registry import MODELS


def with_segmenter(benchmark: Config, segmenter: str, weights: str | None = None) -> Config:
    """Put a model behind the seam into a benchmark; each process of a run loads it.

    What the benchmark says about models holds for it, too: ``readout``, if it is a model of the type of the
    benchmark's own, and those options of ``segmenter`` that its factory takes. The precision is float32.

    Args:
        benchmark: a config with test data and metrics.
        segmenter, weights: see :func:`omgseg.load`. A config file needs weights.

    Raises:
        FileNotFoundError: the name is unknown, or the config or the weights do not exist.
        ConfigError: a config file has no weights.
    """
    if weights is None and Path(segmenter).expanduser().is_file():
        raise ConfigError(
            f"--segmenter {segmenter} is a config: give --weights FILE, or --weights {RANDOM} for random ones"
        )
    try:
        locate_model(segmenter, weights)
    except FileNotFoundError as error:  # the message names the argument of Python
        raise FileNotFoundError(str(error).replace("weights=", "--weights ")) from error
    content = benchmark.to_dict()
    about_models = {key: content[key] for key in ("readout", "segmenter") if key in content}
    about_models["model"] = dict(type=content.get("model", {}).get("type"))
    content["model"] = dict(
        type="load_into_benchmark", segmenter=segmenter, weights=weights, about_models=about_models
    )
    return Config(content, filename=benchmark.filename)


@MODELS.register_module()
def load_into_benchmark(segmenter: str, weights: str | None, about_models: Mapping[str, Any]) -> SeamModel:
    """Load a model for a benchmark, see :func:`with_segmenter`; an image model segments videos frame by frame.

    Raises:
        FileNotFoundError, CheckpointError, ConfigError: see :func:`omgseg.load`.
        ConfigError: the model needs a package that is not installed, or its files cannot be read.
    """
    try:
        located, found = locate_model(segmenter, weights)
        config = read_config(located)
        merge_readout(config, Config(dict(about_models)))
        factory, own = segmenter_of(config)
        accepted = inspect.signature(factory).parameters
        options = {key: value for key, value in about_models.get("segmenter", {}).items() if key in accepted}
        config["segmenter"] = {**own, **options, **_type_of(config)}
        model = load(config, found, dtype="float32")
    except (CheckpointError, ConfigError):
        raise
    except (ImportError, ValueError) as error:
        raise ConfigError(f"--segmenter {segmenter}: {error}") from error
    return SeamModel(model, model if isinstance(model, VideoModel) else FrameByFrame(model))


def _type_of(config: Config) -> dict[str, Any]:
    segmenter = config.get("segmenter") or {}
    return {"type": segmenter["type"]} if "type" in segmenter else {}
