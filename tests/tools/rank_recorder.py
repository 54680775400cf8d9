"""What the processes of test_distributed.py import: fixed samples, and a hook that records weights and gradients."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest import mock

import torch
from mmdet.structures import DetDataSample, TrackDataSample
from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.structures import InstanceData
from torch import Tensor, nn

from omgseg.engine import unwrap
from omgseg.models.geometry import frames_of
from omgseg.registry import HOOKS

KINDS = ("image", "clip", "prompts")
GLOBAL_BATCH = 4
SIZE = 64


def sample(kind: str, index: int) -> dict[str, Any]:
    """Sample ``index`` of a global batch: as many entities as its index, so that processes hold different numbers."""
    random = torch.Generator().manual_seed(index)
    length = 2 if kind == "clip" else 1
    frames = [_frame(kind, index, t) for t in range(length)]
    packed = frames[0]
    if kind == "prompts":
        x = 14.0 * torch.arange(index) + 7
        packed.prompts = InstanceData(points=torch.stack([x, torch.full_like(x, 20.0)], dim=1))
    if kind == "clip":
        packed = TrackDataSample(metainfo=dict(frames[0].metainfo))
        packed.video_data_samples = frames
    inputs = torch.randint(0, 256, (length, 3, SIZE, SIZE), dtype=torch.uint8, generator=random)
    return dict(inputs=inputs, data_samples=packed)


def _frame(kind: str, count: int, t: int) -> DetDataSample:
    """Rectangles side by side that move down."""
    masks = torch.zeros(count, SIZE, SIZE, dtype=torch.bool)
    for index, mask in enumerate(masks):
        mask[8 + 6 * t : 40 + 6 * t, 14 * index : 14 * index + 14] = True
    task = "interactive" if kind == "prompts" else "panoptic"
    shape = (SIZE, SIZE)
    frame = DetDataSample(metainfo=dict(img_path=f"{kind}{count}", img_shape=shape, tasks=(task,)))
    frame.gt_instances = InstanceData(
        labels=torch.arange(count) if kind != "prompts" else torch.full((count,), -1), masks=masks
    )
    return frame


def lattice(*shape: int, **_: Any) -> Tensor:
    """In place of ``torch.rand(n, p, 2)``: the same evenly spread p points in each of the n rows."""
    steps = torch.tensor([0.7548776662466927, 0.5698402909980532], dtype=torch.float64)  # of the R2 sequence
    return (torch.arange(1, shape[1] + 1)[:, None] * steps % 1).float().expand(shape)


def gradients(model: nn.Module, kind: str, indices: range) -> dict[str, Tensor]:
    """Gradients of the loss of a batch of fixed samples at fixed points; parameters without any are left out."""
    inner = unwrap(model)
    inner.zero_grad()
    batch = [sample(kind, index) for index in indices]
    data = dict(inputs=[x["inputs"] for x in batch], data_samples=[x["data_samples"] for x in batch])
    with mock.patch("torch.rand", lattice):
        losses = model(**inner.data_preprocessor(data, True), mode="loss")
    inner.parse_losses(losses)[0].backward()
    return {name: p.grad.clone() for name, p in inner.named_parameters() if p.grad is not None}


@HOOKS.register_module(force=True)
class RankRecorder(Hook):
    """After training, writes ``rank<r>.pt``: all weights, the gradients of its share of the fixed batches (as the
    data-parallel wrapper leaves them), and the sources and images of its own batches."""

    priority = "LOWEST"

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self.seen: list[str] = []

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        for packed in data_batch["data_samples"]:
            self.seen.append(f"{packed.source} {frames_of(packed)[0].img_path}")

    def after_train(self, runner: Runner) -> None:
        runner.model.train()
        share = GLOBAL_BATCH // get_world_size()
        indices = range(get_rank() * share, (get_rank() + 1) * share)
        content = dict(
            weights={name: value.clone() for name, value in unwrap(runner.model).state_dict().items()},
            gradients={kind: gradients(runner.model, kind, indices) for kind in KINDS},
            seen=self.seen,
        )
        torch.save(content, self.folder / f"rank{get_rank()}.pt")
