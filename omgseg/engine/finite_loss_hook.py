"""Stops training when the loss is not a number, and says on which files."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from omgseg.registry import HOOKS


class NonFiniteLossError(ArithmeticError):
    """A loss became NaN or infinite."""


def batch_files(data_samples: Iterable[Any]) -> list[str]:
    """Image files of a batch; a clip (``TrackDataSample``) gives all its frames."""
    files: list[str] = []
    for sample in data_samples:
        frames = getattr(sample, "video_data_samples", None)
        if frames is not None:
            files.extend(batch_files(frames))
        else:
            files.append(str(sample.metainfo.get("img_path", "(file unknown)")))
    return files


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Checks the losses of every iteration; the last checkpoint on disk is from before the bad step."""

    priority = "VERY_HIGH"  # before the logger and the checkpoint of this iteration

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Mapping[str, Any] | None = None,
        outputs: Mapping[str, Any] | None = None,
    ) -> None:
        names = list(outputs or {})
        if not names:
            return
        values = [torch.as_tensor(value).detach().float().reshape(()) for value in outputs.values()]
        device = next((value.device for value in values if value.device.type != "cpu"), values[0].device)
        stacked = torch.stack(
            [value.to(device) for value in values]
        )  # waits for the device once, not once per loss
        bad = {n: v for n, v in zip(names, stacked.tolist(), strict=True) if not math.isfinite(v)}
        if bad:
            samples = data_batch.get("data_samples", ()) if isinstance(data_batch, Mapping) else ()
            raise NonFiniteLossError(
                f"iteration {runner.iter}: {', '.join(f'{name} = {value}' for name, value in bad.items())}. "
                f"Files of the batch: {', '.join(batch_files(samples)) or '(none named)'}. "
                "Look at these files, or lower the learning rate and resume from the last checkpoint."
            )
