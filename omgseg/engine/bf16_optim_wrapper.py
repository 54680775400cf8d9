"""Mixed precision that needs neither a GPU nor a loss scale."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from mmengine.optim import OptimWrapper
from torch import nn

from omgseg.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class Bf16OptimWrapper(OptimWrapper):
    """Runs the forward pass in bfloat16 autocast, on any device. Weights, gradients and optimizer stay float32.

    bfloat16 has float32's range, so gradients need no scaling (mmengine's ``AmpOptimWrapper`` scales, and needs a GPU).
    """

    @contextlib.contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        device = next(model.parameters()).device.type
        with super().optim_context(model), torch.autocast(device, dtype=torch.bfloat16):
            yield
