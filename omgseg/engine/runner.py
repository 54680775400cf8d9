"""mmengine's Runner with safe checkpoints, checked configs and distributed training on CPUs."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from datetime import timedelta
from functools import cache, wraps
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import is_distributed, is_main_process, master_only
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner as MMEngineRunner
from torch import nn

from omgseg.engine.config import check_arguments, check_values, unknown_names_as_config_errors
from omgseg.engine.run_folder import checkpoint_before, checkpoints_of, damage_of
from omgseg.files import remove_abandoned, whole_file
from omgseg.models.checkpoints.loading import (
    CheckpointError,
    guard_mmengine_loading,
    load_weights,
    read_checkpoint,
)
from omgseg.registry import RUNNERS


def unwrap(model: nn.Module) -> Any:
    """The model itself, with its own methods, whether mmengine wrapped it (DDP) or not."""
    return model.module if is_model_wrapper(model) else model


_KEPT = 8
"""Texts of configs that are kept."""


@cache
def format_configs_once() -> None:
    """Let a run format its config once instead of four times: for log, file, visualizer and checkpoints.

    Each time takes one to two seconds.
    """
    texts: dict[str, str] = {}
    fresh = Config.pretty_text.fget

    @wraps(fresh)
    def pretty_text(config: Config) -> str:
        content = repr(config._cfg_dict)
        if content not in texts:
            while len(texts) >= _KEPT:
                del texts[next(iter(texts))]
            texts[content] = fresh(config)
        return texts[content]

    Config.pretty_text = property(pretty_text)


_TRAINING_STATE = ("meta", "message_hub", "optimizer")


class MissingCheckpointError(FileNotFoundError):
    """The checkpoint of a run is not there."""


@RUNNERS.register_module()
class Runner(MMEngineRunner):
    """Runs training, validation and testing from a config, as mmengine's Runner does.

    What differs: the config's arguments are checked before anything is built; ``VocabularyHook`` and ``FiniteLossHook``
    are default hooks (``default_hooks=dict(vocabulary=None)`` removes one); checkpoints are read without unpickling
    foreign objects, must fit the model unless the config says ``load_strict = False``, and appear whole; without
    GPUs ``torchrun`` works, over gloo.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        guard_mmengine_loading()
        format_configs_once()
        super().__init__(*args, **kwargs)

    @classmethod
    def from_cfg(cls, cfg: Any) -> Runner:
        """Build a runner.

        Raises:
            ConfigError: a name or an argument in the config does not exist, or a number cannot be meant.
        """
        check_arguments(cfg)
        check_values(cfg)
        with unknown_names_as_config_errors():
            return super().from_cfg(cfg)

    def setup_env(self, env_cfg: dict) -> None:
        """Choose the backend (nccl on GPUs, gloo on CPUs), unless the config does, and start the process group."""
        env_cfg = copy.deepcopy(env_cfg)
        if self.distributed and not is_distributed():
            dist_cfg = env_cfg.setdefault("dist_cfg", {})
            if torch.cuda.is_available():
                dist_cfg.setdefault("backend", "nccl")
                self._check_device_count()
            else:
                self._init_gloo(dist_cfg)
        super().setup_env(env_cfg)

    @staticmethod
    def _check_device_count() -> None:
        local_rank, devices = int(os.environ.get("LOCAL_RANK", 0)), torch.cuda.device_count()
        if local_rank >= devices:
            raise RuntimeError(
                f"process {local_rank} has no GPU: this machine has {devices}; start {devices} processes"
            )

    def _init_gloo(self, dist_cfg: Mapping[str, Any]) -> None:
        # mmengine would select a CUDA device, which fails where there is none
        if self.launcher != "pytorch":
            raise RuntimeError(
                f"launcher {self.launcher!r} needs GPUs; without them use tools/dist_train.sh (launcher 'pytorch')"
            )
        timeout = timedelta(seconds=dist_cfg["timeout"]) if "timeout" in dist_cfg else None
        torch.distributed.init_process_group(backend=dist_cfg.get("backend", "gloo"), timeout=timeout)

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        """Move the model to its device and wrap it for distributed training.

        A model without trainable parameters, such as one behind the seam, has nothing to synchronise.
        """
        if not any(parameter.requires_grad for parameter in model.parameters()):
            return model.to(get_device())
        if self.distributed and not torch.cuda.is_available():
            wrapper = dict(
                type="MMDistributedDataParallel",
                broadcast_buffers=False,
                find_unused_parameters=self.cfg.get("find_unused_parameters", False),
            )
            # mmengine would name a device, which CPU modules must not have
            model_wrapper_cfg = {**(model_wrapper_cfg or wrapper), "device_ids": None}
        return super().wrap_model(model_wrapper_cfg, model)

    def register_default_hooks(self, hooks: dict | None = None) -> None:
        """mmengine's default hooks, the vocabulary and the loss check; ``hooks`` overrides them by name."""
        defaults = dict(vocabulary=dict(type="VocabularyHook"), finite_loss=dict(type="FiniteLossHook"))
        merged = {**defaults, **(hooks or {})}
        removed = [name for name in defaults if merged[name] is None]
        super().register_default_hooks({name: hook for name, hook in merged.items() if name not in removed})

    def train(self) -> nn.Module:
        """Train as mmengine does, after what killed runs left in the work folder is removed."""
        if is_main_process():
            for path in remove_abandoned(self.work_dir, "*.pth"):
                self.logger.info(f"Remove {path}, which a killed run left")
        return super().train()

    def load_or_resume(self) -> None:
        """Load or resume, as the config says. ``resume`` without ``load_from`` takes the newest checkpoint of the work
        folder that can be read, and starts from the beginning where the folder has none.

        Raises:
            MissingCheckpointError, CheckpointError: see :meth:`load_checkpoint`; of a damaged file to resume from, the
                message names the checkpoint before it.
        """
        if self._resume and not self._has_loaded:
            if self._load_from is None:
                newest = self._newest_readable()
                if newest is None:
                    self.logger.info(
                        f"{self.work_dir} has no checkpoint to resume from: training starts from the beginning"
                    )
                    return
                self._load_from = str(newest)
            else:
                self._refuse_damaged(self._load_from)
        super().load_or_resume()

    def _newest_readable(self) -> Path | None:
        found = checkpoints_of(self.work_dir)
        reasons = []
        for path in found:
            reason = damage_of(path)
            if reason is None:
                if reasons:
                    self.logger.warning(
                        f"Damaged: {'; '.join(reasons)}. Training resumes from {path} before it"
                    )
                return path
            reasons.append(reason)
        if found:
            raise CheckpointError(
                f"no checkpoint of {self.work_dir} can be read: {'; '.join(reasons)}. Delete them to start again"
            )
        return None

    @staticmethod
    def _refuse_damaged(path: str) -> None:
        try:
            reason = damage_of(path)
        except FileNotFoundError as error:
            raise MissingCheckpointError(str(error)) from error
        if reason is not None:
            before = checkpoint_before(path)
            hint = "" if before is None else f"; the checkpoint before it is {before}"
            raise CheckpointError(reason + hint)

    def load_checkpoint(
        self,
        filename: str,
        map_location: Any = "cpu",
        strict: bool | None = None,
        revise_keys: object = None,
    ) -> dict[str, Any]:
        """Load weights, without unpickling foreign objects.

        Args:
            filename: local checkpoint file.
            map_location: where tensors go, as in ``torch.load``.
            strict: must every key fit? None takes ``load_strict`` of the config, True if it has none.
            revise_keys: mmengine's argument; models rename their keys themselves (see ``load_weights``).

        Raises:
            MissingCheckpointError: there is no such file.
            CheckpointError: see ``read_checkpoint`` and ``load_weights``.
        """
        try:
            checkpoint = read_checkpoint(filename, map_location)
        except FileNotFoundError as error:
            raise MissingCheckpointError(str(error)) from error
        if self._resume:
            absent = [key for key in _TRAINING_STATE if key not in checkpoint]
            if absent:
                raise CheckpointError(
                    f"{filename} holds weights only (no {', '.join(absent)}): training cannot resume from it; "
                    "start a new one from these weights with load_from"
                )
            self._prepare_resumed(checkpoint)
        self.call_hook("after_load_checkpoint", checkpoint=checkpoint)
        if strict is None:
            strict = self.cfg.get("load_strict", True)
        load_weights(unwrap(self.model), checkpoint["state_dict"], str(filename), strict)
        self._has_loaded = True
        self.logger.info(f"Load checkpoint from {filename}")
        return checkpoint

    def _prepare_resumed(self, checkpoint: dict[str, Any]) -> None:
        # mmengine executes the config's text, only to compare the number of GPUs with a key that nothing sets
        checkpoint["meta"] = {key: value for key, value in checkpoint["meta"].items() if key != "config"}
        # where the folder is a copy, the best checkpoint that the hook will delete must be the copy's own
        state = checkpoint["message_hub"].get("runtime_info", {})
        for key in [key for key in state if key.startswith("best_ckpt") and state[key]]:
            copied = Path(self.work_dir) / Path(state[key]).name
            if copied.is_file():
                state[key] = str(copied)
            elif "out_dir" not in (self.cfg.get("default_hooks", {}).get("checkpoint") or {}):
                state[key] = None

    @master_only
    def save_checkpoint(self, out_dir: str, filename: str, *args: Any, **kwargs: Any) -> None:
        """Write a checkpoint under a temporary name, then rename it. ``out_dir`` is a local folder."""
        with whole_file(Path(out_dir) / filename) as temporary:
            super().save_checkpoint(str(out_dir), temporary.name, *args, **kwargs)
            with open(temporary, "rb") as file:
                os.fsync(
                    file.fileno()
                )  # before it gets its name: a crash of the machine leaves no half file either
