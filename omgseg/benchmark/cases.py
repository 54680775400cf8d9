"""What is measured: for each case, a function of our side and one of mmdet's that do the same work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from mmengine.structures import InstanceData
from torch import Tensor, nn

from omgseg.benchmark import inputs
from omgseg.benchmark.heads import FixedPixelDecoder, build_mmdet, build_mmdet_fusion, build_ours
from omgseg.benchmark.sizes import HeadSizes
from omgseg.models.decoder import DecoderOutput
from omgseg.models.losses import ClipTargets, SetCriterion
from omgseg.models.readout import MaskGeometry, PanopticConfig, read_panoptic, select_queries

SIDES = ("ours", "mmdet")
Run = Callable[[], object]


@dataclass(frozen=True)
class Case:
    """One comparison.

    Attributes:
        title: what is compared.
        ours, mmdet: prepare a side (weights, inputs) and return what is measured.
        speedup: how many times faster our side is to be; None where no target is set.
        memory: share of mmdet's extra memory that our side may take; None where no target is set.
    """

    title: str
    ours: Callable[[HeadSizes], Run]
    mmdet: Callable[[HeadSizes], Run]
    speedup: float | None = None
    memory: float | None = None

    def prepare(self, side: str, sizes: HeadSizes) -> Run:
        return getattr(self, side)(sizes)


def _our_decoder(sizes: HeadSizes) -> Run:
    head = build_ours(sizes).eval()
    features = inputs.pixel_features(sizes, sizes.image_size)

    @torch.no_grad()
    def run() -> tuple[Tensor, Tensor]:
        (output,) = head.decode(*features, every_layer=False)
        return output.class_logits, output.mask_logits

    return run


def _mmdet_decoder(sizes: HeadSizes) -> Run:
    head = build_mmdet(sizes).eval()
    mask_features, levels = inputs.pixel_features(sizes, sizes.image_size)
    del head.pixel_decoder
    head.pixel_decoder = FixedPixelDecoder(mask_features, levels)
    return torch.no_grad()(lambda: head([mask_features], []))


def _our_head(sizes: HeadSizes) -> Run:
    head = build_ours(sizes).eval()
    features = inputs.image_features(sizes, sizes.image_size)

    @torch.no_grad()
    def run() -> tuple[Tensor, Tensor]:
        (output,) = head.decode(*head.pixel_decoder(features), every_layer=False)
        return output.class_logits, output.mask_logits

    return run


def _mmdet_head(sizes: HeadSizes) -> Run:
    head = build_mmdet(sizes).eval()
    features = inputs.image_features(sizes, sizes.image_size)
    return torch.no_grad()(lambda: head(features, []))


def _backward(head: nn.Module, losses: dict[str, Tensor]) -> None:
    head.zero_grad(set_to_none=True)
    sum(losses.values()).backward()


def _layers(sizes: HeadSizes) -> tuple[list[Tensor], Tensor]:
    """Queries (1, Q, D) of every layer and mask features (1, D, h, w), all with gradient."""
    mask_features, _ = inputs.pixel_features(sizes, sizes.train_size)
    queries = [torch.randn(1, sizes.num_queries, sizes.channels) for _ in range(sizes.num_layers + 1)]
    return [query.requires_grad_() for query in queries], mask_features.requires_grad_()


def _our_loss(sizes: HeadSizes) -> Run:
    head = build_ours(sizes).train()
    decoder, classifier = head.query_decoder, head.classifier
    queries, mask_features = _layers(sizes)
    targets, criterion = our_targets(sizes)

    def run() -> None:
        outputs = []
        for query in queries:
            embeddings = decoder.mask_embed(query)
            objectness = decoder.objectness(query).squeeze(-1)
            clips = mask_features.unsqueeze(2)
            classes = classifier(query, embeddings, clips, head.class_embeddings)
            outputs.append(DecoderOutput(query, query, embeddings, clips, objectness, classes))
        _backward(head, criterion.entity_losses(outputs, targets))

    return run


def _mmdet_loss(sizes: HeadSizes) -> Run:
    head = build_mmdet(sizes).train()
    queries, mask_features = _layers(sizes)
    targets = mmdet_targets(sizes)

    def run() -> None:
        classes = [head.cls_embed(query) for query in queries]
        masks = [torch.einsum("bqc,bchw->bqhw", head.mask_embed(query), mask_features) for query in queries]
        _backward(head, head.loss_by_feat(classes, masks, targets, [{}]))

    return run


def _our_training(sizes: HeadSizes) -> Run:
    head = build_ours(sizes).train()
    features = inputs.image_features(sizes, sizes.train_size)
    targets, criterion = our_targets(sizes)
    return lambda: _backward(
        head, criterion.entity_losses(head.decode(*head.pixel_decoder(features)), targets)
    )


def _mmdet_training(sizes: HeadSizes) -> Run:
    head = build_mmdet(sizes).train()
    features = inputs.image_features(sizes, sizes.train_size)
    targets = mmdet_targets(sizes)
    return lambda: _backward(head, head.loss_by_feat(*head(features, []), targets, [{}]))


def our_targets(sizes: HeadSizes) -> tuple[list[ClipTargets], SetCriterion]:
    labels, masks = inputs.objects(sizes)
    return [ClipTargets(labels, masks.unsqueeze(1))], SetCriterion(num_points=sizes.num_points)


def mmdet_targets(sizes: HeadSizes) -> list[InstanceData]:
    labels, masks = inputs.objects(sizes)
    return [InstanceData(labels=labels, masks=masks.long())]  # the type that mmdet's preprocessing makes


def _our_panoptic(sizes: HeadSizes) -> Run:
    classes, masks = inputs.scene(sizes)
    config = PanopticConfig()
    geometry = MaskGeometry(sizes.map_size, sizes.map_size, sizes.map_size)

    @torch.no_grad()
    def run() -> Tensor:
        queries, scores, labels = select_queries(classes.softmax(-1), config)
        frames = [masks[queries]]
        (panoptic,), _ = read_panoptic(
            frames, scores, labels, sizes.num_things, sizes.num_classes, geometry, config
        )
        return panoptic

    return run


def _mmdet_panoptic(sizes: HeadSizes) -> Run:
    classes, masks = inputs.scene(sizes)
    fusion = build_mmdet_fusion(sizes)

    @torch.no_grad()
    def run() -> Tensor:
        full = F.interpolate(masks[None], sizes.map_size, mode="bilinear", align_corners=False)[0]
        return fusion.panoptic_postprocess(classes, full).sem_seg[0]

    return run


CASES = {
    "decoder": Case(
        "query decoder, inference: pixel decoder's features -> class and stride-4 mask logits",
        _our_decoder,
        _mmdet_decoder,
        speedup=4.0,
    ),
    "head": Case(
        "whole head, inference: image features -> class and stride-4 mask logits", _our_head, _mmdet_head
    ),
    "panoptic": Case(
        "panoptic read-out: stride-4 logits -> map, upsampling included",
        _our_panoptic,
        _mmdet_panoptic,
        speedup=6.0,
        memory=0.25,
    ),
    "loss": Case(
        "loss, forward and backward: queries of every layer -> logits, matching, losses, gradients",
        _our_loss,
        _mmdet_loss,
        speedup=1.2,
        memory=0.6,
    ),
    "training": Case(
        "whole head, training: image features -> logits, matching, losses, gradients",
        _our_training,
        _mmdet_training,
        speedup=1.2,
        memory=0.6,
    ),
}
"""Our side includes what mmdet's head does not have: the class head's mask pooling, its class embeddings, and
objectness."""
