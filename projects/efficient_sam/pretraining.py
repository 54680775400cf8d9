"""SAMI: a ViT learns to reconstruct SAM's embedding of an image from a quarter of its patches (arXiv:2312.00863).

With the pixels in place of the embedding it is a masked autoencoder (MAE, arXiv:2111.06377), the baseline.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from mmdet.structures import DetDataSample
from mmengine.model import BaseModel
from timm.layers import Mlp
from torch import Tensor, nn

from omgseg.datasets import SegmentationDataset
from omgseg.datasets.files import IMAGE_SUFFIXES
from omgseg.datasets.problems import read_all
from omgseg.models.sam.distillation import teacher_embeddings, valid_cells, weights_sha256
from omgseg.models.sam.model import PIXEL_MEAN, PIXEL_STD, fit_square
from omgseg.registry import DATASETS, MODELS
from omgseg.structures.label_png import image_size

TARGETS = ("embedding", "pixels")
VARIANCE = 1e-6
"""Is added to the variance of a patch, which may be of one colour."""


@DATASETS.register_module()
class UnlabelledImageDataset(SegmentationDataset):
    """All images of a folder and its sub-folders; nothing else is read.

    Raises:
        FileNotFoundError: there is no such folder, or no image in it.
    """

    README_ANCHOR = "your-own-data"
    SEG_FORMAT = "none"
    SOURCE = "images"
    TASKS = ("interactive",)
    PREFIXES = ("img",)
    CLASS_AGNOSTIC = True

    def load_data_list(self) -> list[dict[str, Any]]:
        root = Path(self.data_prefix["img"])
        files = sorted(path for path in root.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
        if not files:
            raise FileNotFoundError(f"folder {root} has no images ({', '.join(IMAGE_SUFFIXES)})")
        return read_all(self._entry, files, where=str(root))

    def _entry(self, path: Path) -> dict[str, Any]:
        width, height = image_size(path)
        frame = {"img_path": str(path), "img_id": path.stem, "frame_id": 0}
        return {"frames": [frame], "is_video": False, "height": height, "width": width}


class CrossAttentionLayer(nn.Module):
    """Mask tokens ask visible ones, and nobody else."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.norm_queries = nn.LayerNorm(width, eps=1e-6)
        self.norm_keys = nn.LayerNorm(width, eps=1e-6)
        self.attn = nn.MultiheadAttention(width, num_heads, batch_first=True)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.mlp = Mlp(width, 4 * width)

    def forward(self, masked: Tensor, visible: Tensor) -> Tensor:
        """(B, M, C) and (B, V, C) -> (B, M, C)."""
        keys = self.norm_keys(visible)
        masked = masked + self.attn(self.norm_queries(masked), keys, keys, need_weights=False)[0]
        return masked + self.mlp(self.norm(masked))


class Reconstruction(nn.Module):
    """The decoder of the pre-training: all cells from the visible ones.

    Args:
        in_width: channels of the image encoder's tokens.
        cells: tokens of an image.
        out: channels of what is reconstructed.
        width, depth, num_heads: of the cross-attention.
    """

    def __init__(self, in_width: int, cells: int, out: int, width: int, depth: int, num_heads: int) -> None:
        super().__init__()
        self.embed = nn.Linear(in_width, width)
        self.mask_token = nn.Parameter(nn.init.normal_(torch.empty(1, 1, width), std=0.02))
        self.positions = nn.Parameter(nn.init.trunc_normal_(torch.empty(1, cells, width), std=0.02))
        self.layers = nn.ModuleList(CrossAttentionLayer(width, num_heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.head = nn.Linear(width, out)

    def forward(self, visible: Tensor, order: Tensor) -> Tensor:
        """The reconstruction (B, N, out), row by row.

        Args:
            visible: (B, V, C), what the image encoder gives for the first V cells of `order`.
            order: int64 (B, N), the cells of each image, visible ones first.
        """
        count = visible.shape[1]
        visible = self.embed(visible)
        places = _rows(self.positions.expand(len(order), -1, -1), order)
        masked, keys = self.mask_token + places[:, count:], visible + places[:, :count]
        for layer in self.layers:
            masked = layer(masked, keys)
        merged = _rows(torch.cat([visible, masked], dim=1), order.argsort(1))
        return self.head(self.norm(merged))


def _rows(tokens: Tensor, index: Tensor) -> Tensor:
    """Tokens (B, N, C) at index (B, K): (B, K, C)."""
    return tokens.gather(1, index.unsqueeze(-1).expand(-1, -1, tokens.shape[-1]))


@MODELS.register_module()
class MaskedPretraining(BaseModel):
    """Trains an image encoder without its neck, on images without labels.

    Its checkpoints hold ``image_encoder`` and ``reconstruction``. Of these an EfficientSAM takes the first by
    ``load_from`` with ``load_strict=False``.

    Args:
        image_encoder: config of :class:`~omgseg.projects.efficient_sam.EfficientSamImageEncoder`.
        target: ``"embedding"``, a teacher's from the cache, averaged over the cells of the grid; all cells count. Or
            ``"pixels"`` of a patch, with their mean and variance taken out; masked cells count, as in MAE.
        mask_ratio: share of the patches that the encoder does not see.
        decoder: arguments ``width``, ``depth`` and ``num_heads`` of :class:`Reconstruction`.
        teacher: weights that the cached embeddings must be of, a file or an ``hf://`` location. Read when a training
            starts; None: any.
        target_dim: channels of the teacher's embedding.
        pixel_mean, pixel_std: of RGB values in 0..255.
        data_preprocessor: config of :class:`ClipPreprocessor`.

    Raises:
        ValueError: `target` is unknown, or `mask_ratio` leaves no patch, or none to reconstruct.
    """

    def __init__(
        self,
        image_encoder: dict[str, Any],
        target: str = "embedding",
        mask_ratio: float = 0.75,
        decoder: dict[str, int] | None = None,
        teacher: str | None = None,
        target_dim: int = 256,
        pixel_mean: tuple[float, float, float] = PIXEL_MEAN,
        pixel_std: tuple[float, float, float] = PIXEL_STD,
        data_preprocessor: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(MODELS.build(data_preprocessor or dict(type="ClipPreprocessor")), init_cfg)
        if target not in TARGETS:
            raise ValueError(f"target is {' or '.join(map(repr, TARGETS))}, not {target!r}")
        self.image_encoder = MODELS.build(image_encoder)
        self.image_encoder.neck = nn.Identity()
        cells, patch = self.image_encoder.grid**2, self.image_encoder.stride
        self.num_visible = round(cells * (1 - mask_ratio))
        if not 0 < self.num_visible < cells:
            raise ValueError(f"mask_ratio={mask_ratio} leaves {self.num_visible} of {cells} patches visible")
        self.target = target
        self.teacher = teacher
        self.teacher_sha256: str | None = None
        out = target_dim if target == "embedding" else 3 * patch**2
        sizes = {"width": 512, "depth": 8, "num_heads": 16, **(decoder or {})}
        self.reconstruction = Reconstruction(self.image_encoder.width, cells, out, **sizes)
        self.register_buffer("pixel_mean", torch.tensor(pixel_mean).view(3, 1, 1), persistent=False)
        self.register_buffer("pixel_std", torch.tensor(pixel_std).view(3, 1, 1), persistent=False)

    def init_weights(self) -> None:
        """The runner calls it before a training.

        Raises:
            FileNotFoundError: the teacher's weights are missing.
        """
        super().init_weights()
        if self.teacher is not None:
            self.teacher_sha256 = weights_sha256(self.teacher)

    def forward(self, inputs: Tensor, data_samples: list[DetDataSample], mode: str = "tensor"):
        """mmengine's entry.

        Args:
            inputs: uint8 (B, 1, 3, h, w), whose longer side is the encoder's ``image_size`` or shorter.
            data_samples: B images, with ``teacher_embedding`` if that is the target.
            mode: ``loss``; ``tensor``: the tokens of all patches (B, N, C).
        """
        sizes = [tuple(sample.img_shape[:2]) for sample in data_samples]
        encoder = self.image_encoder
        images = fit_square(inputs[:, 0], sizes, encoder.image_size, self.pixel_mean, self.pixel_std)
        tokens = encoder.embed_patches(images)
        if mode == "tensor":
            return encoder.attend(tokens)
        if mode != "loss":
            raise ValueError(
                f"a pre-training has no masks to predict: mode is 'loss' or 'tensor', not {mode!r}"
            )
        order = torch.rand(tokens.shape[:2], device=tokens.device).argsort(1)
        visible = encoder.attend(_rows(tokens, order[:, : self.num_visible]))
        found = self.reconstruction(visible, order).float()
        counted = valid_cells(sizes, encoder.image_size, (encoder.grid,) * 2).flatten(1) > 0.5
        counted = counted.to(found.device)
        if self.target == "embedding":
            expected = self._embeddings(data_samples)
        else:
            expected = patch_pixels(images.float(), encoder.stride)
            counted = counted & (order.argsort(1) >= self.num_visible)
        return {"loss_reconstruction": reconstruction_loss(found, expected, counted)}

    def _embeddings(self, data_samples: list[DetDataSample]) -> Tensor:
        """The teacher's, averaged over the cells of the grid: (B, N, E).

        Raises:
            ValueError: they have another number of channels.
            ValueError, CheckpointError: see :func:`teacher_embeddings`.
        """
        embeddings = teacher_embeddings(data_samples, self.teacher_sha256)
        if embeddings.shape[1] != self.reconstruction.head.out_features:
            raise ValueError(
                f"the teacher's embeddings have {embeddings.shape[1]} channels: set model.target_dim to it, which is "
                f"{self.reconstruction.head.out_features}"
            )
        return (
            F.interpolate(embeddings, (self.image_encoder.grid,) * 2, mode="area").flatten(2).transpose(1, 2)
        )


def patch_pixels(images: Tensor, patch: int) -> Tensor:
    """The pixels of each patch with mean 0 and variance 1: (B, 3, S, S) -> (B, N, 3 * patch^2)."""
    pixels = F.unfold(images, patch, stride=patch).transpose(1, 2)
    variance, mean = torch.var_mean(pixels, dim=-1, keepdim=True)
    return (pixels - mean) / (variance + VARIANCE).sqrt()


def reconstruction_loss(found: Tensor, expected: Tensor, counted: Tensor) -> Tensor:
    """Mean squared error (B, N, C) over channels and over the cells that count, bool (B, N)."""
    error = (found - expected).square().mean(-1)
    return (error * counted).sum() / counted.sum().clamp(min=1)
