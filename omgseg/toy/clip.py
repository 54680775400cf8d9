"""Training of the toy CLIP on captioned crops: small, but the contrastive objective of the real one.

Half of a batch are crops as such. For the other half, features are computed on the whole picture and averaged over
the crop's square. A real CLIP learns from so many pictures that its features can be averaged over any region; this one
sees 1500, from which it would learn the zeros that pad small crops, too.
"""

from __future__ import annotations

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

from omgseg.files import whole_file
from omgseg.toy.architecture import MODEL_NAME, register
from omgseg.toy.categories import NAMES
from omgseg.toy.crops import TEMPLATES, Crops, sample_crops

CROPS_PER_BATCH = 48
PICTURES_PER_BATCH = 8
LEARNING_RATE = 4e-3
WEIGHT_DECAY = 0.05
WARM_UP = 0.1
CLIP_NORM = 1.0
BRIGHTNESS = 0.1
MAX_LOGIT_SCALE = 100.0
REPORT_EVERY = 50
EVALUATION_BATCH = 128
NUM_STEPS = 500
NUM_PICTURES = 1500
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
        text: (M, E) unit length, one row per distinct caption.
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
    num_pictures: int = NUM_PICTURES,
    report: Callable[[str], None] | None = None,
) -> TrainResult:
    """Train the toy CLIP and save it for ``open_clip.create_model("omgseg_toy", pretrained=path)``.

    It sees crops of all classes, novel ones included, under several phrasings, as a real CLIP has; it sees no masks.

    Args:
        path: safetensors file; appears complete, by a rename.
        seed: of pictures, weights and batches; equal seeds give equal weights on the same machine.
        steps: optimiser steps.
        num_pictures: pictures from which the crops are cut.
        report: called with a line of progress.
    """
    path, report = Path(path), report or (lambda line: None)
    start = time.perf_counter()
    register()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = open_clip.create_model(MODEL_NAME)
    crops = sample_crops(seed, num_pictures)
    report(f"{len(crops.labels)} crops of {len(NAMES)} classes ({time.perf_counter() - start:.0f} s)")
    losses = _fit(model, crops, seed, steps, report)
    accuracy = crop_accuracy(model, sample_crops(seed + 1, max(num_pictures // 12, 8)))
    report(f"accuracy on crops of unseen pictures: {100 * accuracy:.1f} %")
    with whole_file(path) as temporary:
        save_file({key: value.contiguous() for key, value in model.state_dict().items()}, temporary)
    return TrainResult(path, losses, accuracy, time.perf_counter() - start)


def _fit(model: nn.Module, crops: Crops, seed: int, steps: int, report: Callable[[str], None]) -> list[float]:
    rng = torch.Generator().manual_seed(seed)
    captions = _captions()
    optimizer, schedule = _optimizer(model, steps)
    losses: list[float] = []
    start = time.perf_counter()
    model.train()
    for step in range(1, steps + 1):
        crop_embeddings, crop_labels = _embed_crops(model, crops, rng)
        box_embeddings, box_labels = _embed_boxes(model, crops, rng)
        classes, targets = torch.unique(torch.cat([crop_labels, box_labels]), return_inverse=True)
        phrasing = torch.randint(len(TEMPLATES), (len(classes),), generator=rng)
        text = model.encode_text(captions[classes, phrasing], normalize=True)
        image = torch.cat([crop_embeddings, box_embeddings])
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


def _embed_crops(model: nn.Module, crops: Crops, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Random crops as images of their own: unit embeddings (N, E) and classes (N,)."""
    rows = torch.randint(len(crops.labels), (CROPS_PER_BATCH,), generator=rng).numpy()
    pixels = _augment(_pixels(crops.images[rows]), rng)
    return model.encode_image(_normalize(model, pixels), normalize=True), torch.from_numpy(crops.labels[rows])


def _embed_boxes(model: nn.Module, crops: Crops, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """All crops of random pictures, seen within their picture: unit embeddings (N, E) and classes (N,)."""
    chosen = torch.randperm(len(crops.pictures), generator=rng)[:PICTURES_PER_BATCH].numpy()
    pixels = _augment(_pixels(crops.pictures[chosen]), rng)
    features = model.visual.trunk.forward_features(_normalize(model, pixels))
    rows = [np.flatnonzero(crops.picture_of == picture) for picture in chosen]
    inside = np.repeat(np.arange(len(chosen)), [len(found) for found in rows])
    rows = np.concatenate(rows)
    weights = box_weights(torch.from_numpy(crops.boxes[rows]), features.shape[-1], pixels.shape[-1])
    pooled = torch.einsum("nchw,nhw->nc", features[inside], weights)
    image = model.visual.head(model.visual.trunk.head(pooled[..., None, None]))
    return F.normalize(image, dim=-1), torch.from_numpy(crops.labels[rows])


def box_weights(boxes: Tensor, cells: int, size: int) -> Tensor:
    """Weights of a box mean over a feature map.

    Args:
        boxes: (N, 4) x0, y0, x1, y1 in pixels of a square image.
        cells, size: side of the feature map in cells, and of the image in pixels.

    Returns:
        (N, cells, cells): the share of the box that lies in each cell; sums to 1 over a box.
    """
    starts = torch.arange(cells, dtype=boxes.dtype) * (size / cells)
    low = torch.maximum(boxes[:, :2, None], starts)
    high = torch.minimum(boxes[:, 2:, None], starts + size / cells)
    cover = (high - low).clamp_min(0)
    cover = cover / cover.sum(-1, keepdim=True)
    return cover[:, 1, :, None] * cover[:, 0, None, :]


def _pixels(images: np.ndarray) -> Tensor:
    """uint8 (N, H, W, 3) to float (N, 3, H, W), 0..255."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float()


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
    """Change each image's brightness; (N, 3, H, W), 0..255."""
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
    for start in range(0, len(crops.labels), EVALUATION_BATCH):
        rows = slice(start, start + EVALUATION_BATCH)
        image = model.encode_image(_normalize(model, _pixels(crops.images[rows])), normalize=True)
        hits += int(((image @ text.T).argmax(1) == torch.from_numpy(crops.labels[rows])).sum())
    return hits / len(crops.labels)
