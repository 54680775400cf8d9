"""The image encoder learns a teacher's embeddings (stage 1 of EdgeSAM, arXiv:2312.06660, section 3.2; MobileSAM's
decoupled distillation, arXiv:2306.14289)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from mmdet.structures import DetDataSample
from torch import Tensor, nn

from omgseg.files import file_sha256
from omgseg.models.checkpoints.hub import local_file
from omgseg.models.checkpoints.loading import CheckpointError, load_state, load_weights, read_checkpoint
from omgseg.models.sam.model import SAM
from omgseg.registry import MODELS

DECODER = ("prompt_encoder", "mask_decoder")
"""What a student takes over from its teacher."""


@MODELS.register_module()
class EncoderDistillation(SAM):
    """A SAM whose image encoder learns the embeddings of a teacher; prompt encoder and mask decoder are the teacher's,
    and frozen. Its checkpoints are those of :class:`SAM`: they answer prompts.

    Args:
        teacher: its weights, a file or an ``hf://`` location. Read when a training starts; None: the decoder comes
            from elsewhere, such as ``load_from``.
        trunk: weights for ``image_encoder.trunk`` to start from, a file or an ``hf://`` location, as timm publishes
            them. Read when a training starts.
        args, kwargs: see :class:`SAM`.
    """

    def __init__(
        self, *args: Any, teacher: str | None = None, trunk: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.teacher = teacher
        self.trunk = trunk
        self.teacher_sha256: str | None = None
        for part in DECODER:
            getattr(self, part).requires_grad_(False)

    def init_weights(self) -> None:
        """Take over the teacher's decoder, and the trunk's weights. The runner calls it before it loads or resumes.

        Raises:
            FileNotFoundError, CheckpointError: see :func:`read_checkpoint` and :func:`load_weights`.
        """
        super().init_weights()
        if self.teacher is not None:
            self.teacher_sha256 = weights_sha256(self.teacher)
            take_decoder(nn.ModuleDict({part: getattr(self, part) for part in DECODER}), self.teacher)
        if self.trunk is not None:
            _load_trunk(self.image_encoder.trunk, self.trunk)

    def train(self, mode: bool = True) -> EncoderDistillation:
        """The decoder stays in eval mode."""
        super().train(mode)
        for part in DECODER:
            getattr(self, part).eval()
        return self

    def loss(self, embeddings: Tensor, data_samples: list[DetDataSample]) -> dict[str, Tensor]:
        """``loss_embedding``, see :func:`embedding_loss`.

        Args:
            embeddings: (B, E, h, w).
            data_samples: with ``teacher_embedding``, see :func:`teacher_embeddings`.
        """
        teacher = teacher_embeddings(data_samples, self.teacher_sha256)
        if teacher.shape != embeddings.shape:
            raise ValueError(
                f"the teacher's embeddings (E, h, w) are {tuple(teacher.shape[1:])}, those of the image encoder "
                f"{tuple(embeddings.shape[1:])}: give it the teacher's embed_dim and grid"
            )
        sizes = [tuple(sample.img_shape[:2]) for sample in data_samples]
        valid = valid_cells(sizes, self.image_size, tuple(embeddings.shape[-2:])) > 0.5
        return {"loss_embedding": embedding_loss(embeddings.float(), teacher, valid.to(teacher.device))}


def weights_sha256(weights: str) -> str:
    """The SHA-256 of a weight file, by which caches name their teacher.

    Raises:
        FileNotFoundError: there is no such file, or it cannot be downloaded.
    """
    path = local_file(weights)
    if not path.is_file():
        raise FileNotFoundError(f"the teacher's weights {weights} not found")
    return file_sha256(path)


def take_decoder(decoder: nn.Module, weights: str) -> None:
    """Load prompt encoder and mask decoder of a teacher.

    Args:
        decoder: a module with ``prompt_encoder`` and ``mask_decoder``, and nothing else.
        weights: of the teacher, a file or an ``hf://`` location.

    Raises:
        FileNotFoundError, CheckpointError: see :func:`read_checkpoint` and :func:`load_weights`.
    """
    tensors = read_checkpoint(weights)["state_dict"]
    tensors = {name: tensor for name, tensor in tensors.items() if name.partition(".")[0] in DECODER}
    load_weights(decoder, tensors, str(weights))


def teacher_embeddings(data_samples: list[DetDataSample], sha256: str | None = None) -> Tensor:
    """The teacher's embeddings of a batch, float32 (B, E, h, w).

    Args:
        data_samples: with ``teacher_embedding`` (E, h, w), as ``LoadTeacherEmbedding`` reads them.
        sha256: of the weights of the teacher that they must be of; None: any.

    Raises:
        ValueError: a sample has none.
        CheckpointError: a sample has that of another teacher.
    """
    for sample in data_samples:
        if "teacher_embedding" not in sample:
            raise ValueError(
                "a sample has no embedding of the teacher: fill a cache with tools/teacher_embeddings.py, and add "
                "dict(type='LoadTeacherEmbedding', cache=...) before PackClip to the pipeline of the dataset"
            )
        if sha256 not in (None, sample.teacher):
            raise CheckpointError(
                f"the cache holds embeddings of another teacher (SHA-256 {sample.teacher[:12]}...) than model.teacher "
                f"(SHA-256 {sha256[:12]}...): choose the cache or the teacher that belong together"
            )
    return torch.stack([sample.teacher_embedding for sample in data_samples]).float()


def valid_cells(sizes: list[tuple[int, int]], side: int, grid: tuple[int, int]) -> Tensor:
    """How much of a cell lies in the image: float32 (B, *grid), fractional at its border.

    Args:
        sizes: (height, width) of the images in a padded square.
        side: of the square, in pixels.
        grid: (rows, columns) of cells.
    """
    places = torch.arange(side)
    axes = []
    for axis, cells in enumerate(grid):
        inside = torch.stack([(places < size[axis]).float() for size in sizes])
        axes.append(F.interpolate(inside.unsqueeze(1), cells, mode="linear", align_corners=False)[:, 0])
    return axes[0].unsqueeze(2) * axes[1].unsqueeze(1)


def embedding_loss(student: Tensor, teacher: Tensor, valid: Tensor) -> Tensor:
    """Mean squared error of embeddings (B, E, h, w): over channels and valid cells, then over images.

    Each image is averaged over its own valid cells. The published code also pairs it with those of the other images of
    the batch, by a broadcast that its paper does not mention.

    Args:
        valid: bool (B, h, w).
    """
    error = (student - teacher).square().mean(1) * valid
    return (error.sum((1, 2)) / valid.sum((1, 2)).clamp(min=1)).mean()


def _load_trunk(trunk: nn.Module, weights: str) -> None:
    """Load timm's weights into a trunk without its classifier.

    Raises:
        CheckpointError: anything but the classifier does not fit.
    """
    report = load_state(trunk, read_checkpoint(weights)["state_dict"], strict=False)
    report.unexpected = [name for name in report.unexpected if not name.startswith("head.")]
    if not report.is_clean:
        raise CheckpointError(f"{weights} does not fit the trunk of the image encoder:\n{report}")
