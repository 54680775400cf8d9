"""Training of the toy CLIP on captioned crops: small, but the contrastive objective of the real one."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import open_clip
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from omgseg.toy.architecture import MODEL_NAME, register
from omgseg.toy.categories import NAMES
from omgseg.toy.crops import TEMPLATES, Crops, sample_crops

BATCH_SIZE = 96
LEARNING_RATE = 4e-3
WEIGHT_DECAY = 0.05
WARM_UP = 0.1
CLIP_NORM = 1.0
BRIGHTNESS = 0.1
MAX_LOGIT_SCALE = 100.0
REPORT_EVERY = 50
NUM_STEPS = 500
NUM_IMAGES = 1500
"""Pictures from which the training crops are cut."""


@dataclass(frozen=True)
class TrainResult:
    """Where the weights are, the loss of every step, accuracy on crops of unseen pictures (0..1), wall time."""

    path: Path
    losses: list[float]
    crop_accuracy: float
    seconds: float


def contrastive_loss(image: Tensor, text: Tensor, targets: Tensor, scale: Tensor) -> Tensor:
    """The symmetric loss of CLIP (Radford et al. 2021, Figure 3) for batches in which a caption has several images.

    Args:
        image: (N, E) unit length.
        text: (M, E) unit length, one row a distinct caption.
        targets: int64 (N,), the caption of each image; every caption has an image.
        scale: the logits' scale (a scalar).

    Returns:
        A scalar. For captions, the target is uniform over their images.
    """
    logits = scale * image @ text.T
    matches = F.one_hot(targets, len(text)).to(logits)
    matches = matches / matches.sum(0)
    return 0.5 * (F.cross_entropy(logits, targets) + F.cross_entropy(logits.T, matches.T))


def train_toy_clip(
    path: str | Path,
    seed: int = 0,
    steps: int = NUM_STEPS,
    num_images: int = NUM_IMAGES,
    report: Callable[[str], None] | None = None,
) -> TrainResult:
    """Train the toy CLIP and save it for ``open_clip.create_model("omgseg_toy", pretrained=path)``.

    It sees crops of all classes, novel ones included, under several phrasings, as a real CLIP has; it sees no masks.

    Args:
        path: safetensors file; appears complete, by a rename.
        seed: of pictures, weights and batches; equal seeds give equal weights on the same machine.
        steps: batches of 96 crops.
        num_images: pictures from which the crops are cut.
        report: called with a line of progress.
    """
    path, report = Path(path), report or (lambda line: None)
    start = time.perf_counter()
    register()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = open_clip.create_model(MODEL_NAME)
    crops = sample_crops(seed, num_images)
    report(f"{len(crops.labels)} crops of {len(NAMES)} classes ({time.perf_counter() - start:.0f} s)")
    losses = _fit(model, crops, seed, steps, report)
    accuracy = crop_accuracy(model, sample_crops(seed + 1, max(num_images // 12, 8)))
    report(f"accuracy on crops of unseen pictures: {100 * accuracy:.1f} %")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    save_file({key: value.contiguous() for key, value in model.state_dict().items()}, temporary)
    os.replace(temporary, path)
    return TrainResult(path, losses, accuracy, time.perf_counter() - start)


def _fit(model: nn.Module, crops: Crops, seed: int, steps: int, report: Callable[[str], None]) -> list[float]:
    rng = torch.Generator().manual_seed(seed)
    captions = _captions()
    labels = torch.from_numpy(crops.labels)
    class_weight = 1 / torch.bincount(labels, minlength=len(NAMES)).clamp_min(1)
    optimizer, schedule = _optimizer(model, steps)
    losses: list[float] = []
    start = time.perf_counter()
    model.train()
    for step in range(1, steps + 1):
        rows = torch.multinomial(class_weight[labels], BATCH_SIZE, replacement=True, generator=rng)
        classes, targets = torch.unique(labels[rows], return_inverse=True)
        phrasing = torch.randint(len(TEMPLATES), (len(classes),), generator=rng)
        pixels = _augment(torch.from_numpy(crops.images[rows.numpy()]).permute(0, 3, 1, 2).float(), rng)
        image = model.encode_image(_normalize(model, pixels), normalize=True)
        text = model.encode_text(captions[classes, phrasing], normalize=True)
        loss = contrastive_loss(image, text, targets, model.logit_scale.exp())
        if not torch.isfinite(loss):
            raise FloatingPointError(f"the toy CLIP's loss is {loss.item()} at step {step} (seed {seed})")
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP_NORM)
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, float(np.log(MAX_LOGIT_SCALE)))
        losses.append(loss.item())
        if step % REPORT_EVERY == 0 or step == steps:
            recent = float(np.mean(losses[-REPORT_EVERY:]))
            report(f"toy CLIP step {step}/{steps}: loss {recent:.3f} ({time.perf_counter() - start:.0f} s)")
    model.eval()
    return losses


def _optimizer(
    model: nn.Module, steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """AdamW with a one-cycle schedule; norms, biases and embeddings do not decay."""
    decay, keep = [], []
    for name, parameter in model.named_parameters():
        (decay if parameter.ndim > 1 and "embedding" not in name else keep).append(parameter)
    groups = [{"params": decay, "weight_decay": WEIGHT_DECAY}, {"params": keep, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=LEARNING_RATE, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LEARNING_RATE, total_steps=steps + 1, pct_start=WARM_UP
    )
    return optimizer, schedule


def _augment(pixels: Tensor, rng: torch.Generator) -> Tensor:
    """Mirror half of the batches and change each crop's brightness; (N, 3, H, W), 0..255."""
    if torch.rand((), generator=rng) < 0.5:
        pixels = pixels.flip(-1)
    change = 2 * torch.rand(len(pixels), 1, 1, 1, generator=rng) - 1
    return (pixels * (1 + BRIGHTNESS * change)).clamp(0, 255)


def _normalize(model: nn.Module, pixels: Tensor) -> Tensor:
    """Pixels 0..255 to what the image tower expects, by open_clip's own mean and deviation."""
    mean = torch.tensor(model.visual.image_mean).view(1, 3, 1, 1)
    std = torch.tensor(model.visual.image_std).view(1, 3, 1, 1)
    return (pixels / 255 - mean) / std


def _captions() -> Tensor:
    """Tokens of every class under every template: int64 (C, P, L)."""
    tokenizer = open_clip.get_tokenizer(MODEL_NAME)
    return torch.stack([tokenizer([template.format(name) for template in TEMPLATES]) for name in NAMES])


@torch.no_grad()
def text_embeddings(model: nn.Module) -> Tensor:
    """(C, E) unit length: each class's mean over the templates."""
    captions = _captions()
    text = model.encode_text(captions.flatten(0, 1), normalize=True)
    return F.normalize(text.view(*captions.shape[:2], -1).mean(1), dim=-1)


@torch.no_grad()
def crop_accuracy(model: nn.Module, crops: Crops) -> float:
    """Zero-shot accuracy over all classes, 0..1."""
    text = text_embeddings(model)
    hits = 0
    for images, labels in zip(
        np.array_split(crops.images, len(crops.labels) // BATCH_SIZE + 1),
        np.array_split(crops.labels, len(crops.labels) // BATCH_SIZE + 1),
        strict=True,
    ):
        pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float()
        image = model.encode_image(_normalize(model, pixels), normalize=True)
        hits += int(((image @ text.T).argmax(1) == torch.from_numpy(labels)).sum())
    return hits / len(crops.labels)
