"""What a model costs: parameters, operations and memory of its parts, without running it.

The expensive parts are followed on torch's meta device, where a tensor has a size and no content.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.config import ConfigDict
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from omgseg.models.omgseg.model import OMGSeg
from omgseg.models.sam.model import SAM
from omgseg.registry import MODELS

TILE = 64
"""Side of the image whose features the pixel decoder really runs on, see :func:`_decode_tile`."""


@dataclass(frozen=True)
class PartCost:
    """The cost of one part of a model.

    Attributes:
        name: attribute of the model.
        parameters, trainable: numbers of them.
        flops: operations of one image, a multiplication and an addition counted as two. Matrix products, convolutions
            and attention count, all the rest does not.
        peak_bytes: largest sum of the float32 tensors that are alive at once while the part runs, weights apart.
    """

    name: str
    parameters: int
    trainable: int
    flops: int = 0
    peak_bytes: int = 0


def model_cost(model_config: dict[str, Any], image_size: tuple[int, int], num_classes: int) -> list[PartCost]:
    """The cost of one image, part by part.

    Args:
        model_config: config of an :class:`OMGSeg` or of a :class:`SAM`. No weights are read.
        image_size: (height, width), padded as the model's preprocessor does. A SAM always sees its own square, and is
            asked with one point.
        num_classes: words to classify with; each has one synonym.
    """
    config = ConfigDict(model_config).copy()
    if "text_encoder" in config:
        for encoder in ("image_encoder", "text_encoder"):
            config[encoder] = dict(config[encoder], pretrained=None)
    with torch.device("meta"):
        model = MODELS.build(config).eval()
    parameters = {name: _count(part) for name, part in model.named_children()}
    model.requires_grad_(False)
    ran = _run_sam(model) if isinstance(model, SAM) else _run_omg(model, image_size, num_classes)
    return [
        PartCost(name, *numbers, *ran.get(name, (0, 0))) for name, numbers in parameters.items() if numbers[0]
    ]


def _run_omg(model: OMGSeg, image_size: tuple[int, int], num_classes: int) -> dict[str, tuple[int, int]]:
    """(operations, peak bytes) of each part of a model on the meta device."""
    encoder = model.image_encoder
    divisor = model.data_preprocessor.size_divisor
    height, width = (math.ceil(side / divisor) * divisor for side in image_size)
    ran: dict[str, tuple[int, int]] = {}
    with torch.no_grad():
        image = torch.zeros(1, 3, height, width, device="meta")
        ran["image_encoder"], _ = _follow(lambda: encoder(image))
        ran["pixel_decoder"], shapes = _decode_tile(model, (height, width))
        features = [torch.zeros(shape, device="meta") for shape in shapes]
        mask_features, levels = features[0], features[1:]
        ran["query_decoder"], (output,) = _follow(
            lambda: model.query_decoder(mask_features, levels, every_layer=False)
        )
        # autocast knows no meta device, so this small part really runs, on zeros
        given = (output.normed_queries, output.mask_embeddings, output.mask_features)
        zeros = [torch.zeros(x.shape) for x in given]
        words = torch.zeros(num_classes, 1, model.text_encoder.embed_dim)
        classifier = _on_cpu(model.classifier)
        ran["classifier"], _ = _follow(lambda: classifier(*zeros, words))
    return ran


def _run_sam(model: SAM) -> dict[str, tuple[int, int]]:
    """As :func:`_run_omg`, of an image and one point."""
    ran: dict[str, tuple[int, int]] = {}
    with torch.no_grad(), torch.device("meta"):
        image = torch.zeros(1, 3, model.image_size, model.image_size)
        point, label = torch.zeros(1, 1, 2), torch.ones(1, 1, dtype=torch.long)
        ran["image_encoder"], embedding = _follow(lambda: model.image_encoder(image))
        ran["prompt_encoder"], (sparse, dense) = _follow(lambda: model.prompt_encoder(point, label))
        positions = model.prompt_encoder.dense_positions()
        ran["mask_decoder"], _ = _follow(lambda: model.mask_decoder(embedding, positions, sparse, dense))
    return ran


def _count(part: nn.Module) -> tuple[int, int]:
    parameters = list(part.parameters())
    return sum(p.numel() for p in parameters), sum(p.numel() for p in parameters if p.requires_grad)


def _follow(run: Callable[[], Any]) -> tuple[tuple[int, int], Any]:
    """(operations, peak bytes) of a call, and its result."""
    counted = {torch.ops.torchvision.deform_conv2d: _deform_conv2d_flops}
    with FlopCounterMode(display=False, custom_mapping=counted) as flops, _LiveBytes() as memory:
        result = run()
    return (flops.get_total_flops(), memory.peak), result


def _deform_conv2d_flops(
    image: torch.Size, weight: torch.Size, *_: Any, out_shape: torch.Size, **__: Any
) -> int:
    """Operations of torchvision's deformable convolution: of its product, not of sampling the image."""
    return 2 * math.prod(weight) * out_shape[0] * math.prod(out_shape[2:])


def _on_cpu(part: nn.Module) -> nn.Module:
    """The part with zeros for weights."""
    part.to_empty(device="cpu")
    for weight in part.state_dict().values():
        weight.zero_()
    return part


def _decode_tile(model: OMGSeg, image_size: tuple[int, int]) -> tuple[tuple[int, int], list[torch.Size]]:
    """Operations and memory of the pixel decoder, and the shapes of its features (mask features first).

    It reads the sizes of its levels from a tensor, so it cannot be followed without content. Every one of its
    operations is linear in the number of positions, so a small image's cost is multiplied by the ratio of areas.
    """
    decoder = _on_cpu(model.pixel_decoder)
    encoder = model.image_encoder
    tile = [
        torch.zeros(1, channels, TILE // stride, TILE // stride)
        for channels, stride in zip(encoder.channels, encoder.strides, strict=True)
    ]
    cost, (mask_features, levels) = _follow(lambda: decoder(tile))
    (height, width) = image_size
    areas = height * width / TILE**2
    shapes = [
        torch.Size((*feature.shape[:2], feature.shape[2] * height // TILE, feature.shape[3] * width // TILE))
        for feature in (mask_features, *levels)
    ]
    return (round(cost[0] * areas), round(cost[1] * areas)), shapes


class _LiveBytes(TorchDispatchMode):
    """Adds up the storages that operations create, until they are freed."""

    def __init__(self) -> None:
        super().__init__()
        self.peak = self._live = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {id(x.untyped_storage()) for x in tree_leaves((args, kwargs or {})) if isinstance(x, Tensor)}
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self._add(tensor.untyped_storage(), given)
        return result

    def _add(self, storage: torch.UntypedStorage, given: set[int]) -> None:
        key = id(storage)
        if key in given or key in self._known:
            return
        self._known.add(key)
        self._live += storage.nbytes()
        self.peak = max(self.peak, self._live)
        weakref.finalize(storage, self._drop, key, storage.nbytes())

    def _drop(self, key: int, size: int) -> None:
        self._known.discard(key)
        self._live -= size
