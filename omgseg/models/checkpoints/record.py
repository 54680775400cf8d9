"""What a converted weight file is: the JSON that lies beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from mmengine.config import Config
from torch import Tensor

from omgseg.files import file_sha256
from omgseg.models.checkpoints.published import (
    PREFIXES,
    holds_image_encoder,
    identify,
    is_published_layout,
    unknown_keys,
)

LICENCE = (
    "Weights keep the terms of those who published them; omgseg's licence does not apply to them. Weights of CLIP have "
    "terms of their own."
)
OMG_SEG_LICENCE = (
    "The published OMG-Seg files: MIT according to https://huggingface.co/LXT/OMG_Seg, S-Lab License 1.0 "
    "(non-commercial) according to https://github.com/lxtGH/OMG-Seg."
)


@dataclass
class SourceFile:
    """A checkpoint as it was read.

    Attributes:
        location: what the user named.
        file: the local file.
        tensors: by their names in it.
        training: plain facts about its training.
        left_out: classes and functions that it named, if it had to be read in the isolated step.
    """

    location: str
    file: Path
    tensors: Mapping[str, Tensor]
    training: Mapping[str, Any] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)


def conversion_record(
    source: SourceFile,
    target: Path,
    converted: Mapping[str, Tensor],
    version: str,
    config: Config | None = None,
    layout: tuple[tuple[str, str], ...] = PREFIXES,
) -> dict[str, Any]:
    """Describe a conversion in plain data.

    Args:
        source: what was read.
        target: the file written.
        converted: the tensors in it.
        version: of omgseg.
        config: of the model, if the user named one; else the published size is told from the shapes.
        layout: the published names of the model.
    """
    published = is_published_layout(source.tensors)
    of_omg_seg = layout is PREFIXES
    name = "OMG-Seg" if of_omg_seg else config.model.type
    return {
        "what": f"{name} weights, named as omgseg names them"
        if published
        else "weights, named as in the source",
        "source": {"location": source.location, **_identity(source.file)},
        "target": _identity(target),
        "conversion": {
            "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "omgseg": version,
            "trust_pickle": bool(source.left_out),
            "left_out_objects": source.left_out,
        },
        "model": _model(converted, config),
        "tensors": len(converted),
        "parameters": sum(tensor.numel() for tensor in converted.values()),
        "keys": {
            "renamed": len(set(source.tensors) - set(converted)),
            "unknown": unknown_keys(source.tensors, layout) if published else [],
        },
        "training": dict(source.training),
        "licence": f"{LICENCE} {OMG_SEG_LICENCE}" if of_omg_seg else LICENCE,
    }


def _identity(file: Path) -> dict[str, Any]:
    return {"file": file.name, "bytes": file.stat().st_size, "sha256": file_sha256(file)}


def _model(converted: Mapping[str, Tensor], config: Config | None) -> dict[str, Any]:
    size = identify(converted)
    encoder = config.model.image_encoder if config is not None else {}
    return {
        "config": Path(config.filename).stem if config is not None else size and size.config,
        "image_encoder": encoder.get("model_name", size and size.image_encoder),
        "image_encoder_weights": (
            "in this file"
            if holds_image_encoder(converted)
            else encoder.get("pretrained", size and size.pretrained)
        ),
    }
