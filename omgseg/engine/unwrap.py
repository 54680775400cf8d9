"""The model inside its data-parallel wrapper."""

from typing import Any

from mmengine.model import is_model_wrapper
from torch import nn


def unwrap(model: nn.Module) -> Any:
    """The model itself, with its own methods, whether mmengine wrapped it (DDP) or not."""
    return model.module if is_model_wrapper(model) else model
