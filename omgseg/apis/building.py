"""A model ready for prediction, from a config and a checkpoint; no dataset is touched."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import print_log
from mmengine.registry import init_default_scope

from omgseg.datasets.transforms import Resize
from omgseg.engine import check_arguments, load_weights, read_checkpoint
from omgseg.engine.hooks import META_KEY
from omgseg.models.segmentor import OMGSeg
from omgseg.registry import MODELS
from omgseg.structures import Vocabulary

DEFAULT_SCALE = (1333, 800)
"""The published test size for photos, where a config has no test data to say another."""


def read_config(config: Config | Mapping[str, Any] | str | Path) -> Config:
    """A config of one's own: a file is read, anything else is copied.

    Raises:
        FileNotFoundError: no such file.
        ConfigError: an argument in the config is none of its class.
        ValueError: the config has no model.
    """
    if isinstance(config, (str, Path)):
        if not Path(config).is_file():
            raise FileNotFoundError(f"config {config} not found")
        config = Config.fromfile(config)
    else:
        config = Config(config.to_dict() if isinstance(config, Config) else dict(config))
    if "model" not in config:
        raise ValueError(f"the config {config.filename or ''} has no key 'model'")
    init_default_scope(config.get("default_scope", "omgseg"))
    check_arguments(config)
    return config


def build_model(config: Config, checkpoint: str | Path | None, device: str | None = None) -> OMGSeg:
    """Build the model of a config for prediction.

    Args:
        config: see :func:`read_config`.
        checkpoint: weights, ours or in the published layout. None: random weights, the same every time, with
            a warning; nothing is read then, not even the image encoder's own weights.
        device: default: the accelerator if there is one.

    Returns:
        The model in eval mode; its ``train_vocabulary`` is that of the checkpoint, if it has one.

    Raises:
        FileNotFoundError: the checkpoint, or the weights of the image encoder, are missing.
        CheckpointError: the file is no checkpoint, or one of another model.
    """
    model_config = config.model.copy()
    loaded = None if checkpoint is None else read_checkpoint(checkpoint)
    if loaded is None:
        for part in ("image_encoder", "text_encoder"):
            model_config[part] = dict(model_config[part], pretrained=None)
        print_log(
            "NO CHECKPOINT: all weights are random. Masks and labels mean nothing; give a checkpoint for real results",
            logger="current",
            level=logging.WARNING,
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = MODELS.build(model_config)
    if loaded is not None:
        load_weights(model, loaded["state_dict"], str(checkpoint))
        words = (loaded.get("meta") or {}).get(META_KEY)
        model.train_vocabulary = Vocabulary.from_dict(json.loads(words)) if words else None
    return model.to(device or get_device()).eval()


def test_resize(config: Config) -> Resize:
    """The resizing of the config's test pipeline: of the first test (else validation) dataset that has one."""
    for loader in ("test_dataloader", "val_dataloader"):
        for dataset in _datasets((config.get(loader) or {}).get("dataset")):
            for step in dataset["pipeline"]:
                if str(step.get("type")).rpartition(".")[2] != "Resize":
                    continue
                scale = step.get("scale") or dataset.get("image_size")
                if scale is not None:
                    return Resize(tuple(scale), keep_ratio=step.get("keep_ratio", True))
    return Resize(DEFAULT_SCALE)


def _datasets(node: Any) -> Iterator[Mapping[str, Any]]:
    """The configs of datasets with a pipeline, inside wrappers too."""
    if isinstance(node, Mapping):
        if node.get("pipeline"):
            yield node
        else:
            for each in node.values():
                yield from _datasets(each)
    elif isinstance(node, list | tuple):
        for each in node:
            yield from _datasets(each)
