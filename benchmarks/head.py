"""Our head against mmdet's ``Mask2FormerHead`` and ``MaskFormerFusionHead``: equal results, time and memory.

``python -m benchmarks.head CASE SIDE THREADS SIZES`` prints the bytes by which a process grows that runs one side.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.structures import InstanceData
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from benchmarks.head_sides import (
    TINY,
    FixedPixelDecoder,
    HeadSizes,
    build_mmdet,
    build_mmdet_fusion,
    build_ours,
    image_features,
    objects,
    pixel_features,
    scene,
)
from benchmarks.processes import NO_HEAP, Run, Timing, alternate, growth_of, run_fresh
from omgseg.models.geometry import MaskGeometry
from omgseg.models.mask_queries.losses import ClipTargets, SetCriterion
from omgseg.models.mask_queries.output import DecoderOutput
from omgseg.models.mask_queries.readout import PanopticConfig, read_panoptic, select_queries
from omgseg.tables import markdown_table

SIDES = ("ours", "mmdet")


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
    features = pixel_features(sizes, sizes.image_size)

    @torch.no_grad()
    def run() -> tuple[Tensor, Tensor]:
        (output,) = head.decode(*features, every_layer=False)
        return output.class_logits, output.mask_logits

    return run


def _mmdet_decoder(sizes: HeadSizes) -> Run:
    head = build_mmdet(sizes).eval()
    mask_features, levels = pixel_features(sizes, sizes.image_size)
    del head.pixel_decoder
    head.pixel_decoder = FixedPixelDecoder(mask_features, levels)
    return torch.no_grad()(lambda: head([mask_features], []))


def _our_head(sizes: HeadSizes) -> Run:
    head = build_ours(sizes).eval()
    features = image_features(sizes, sizes.image_size)

    @torch.no_grad()
    def run() -> tuple[Tensor, Tensor]:
        (output,) = head.decode(*head.pixel_decoder(features), every_layer=False)
        return output.class_logits, output.mask_logits

    return run


def _mmdet_head(sizes: HeadSizes) -> Run:
    head = build_mmdet(sizes).eval()
    features = image_features(sizes, sizes.image_size)
    return torch.no_grad()(lambda: head(features, []))


def _backward(head: nn.Module, losses: dict[str, Tensor]) -> None:
    head.zero_grad(set_to_none=True)
    sum(losses.values()).backward()


def _layers(sizes: HeadSizes) -> tuple[list[Tensor], Tensor]:
    """Queries (1, Q, D) of every layer and mask features (1, D, h, w), all with gradient."""
    mask_features, _ = pixel_features(sizes, sizes.train_size)
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
    features = image_features(sizes, sizes.train_size)
    targets, criterion = our_targets(sizes)
    return lambda: _backward(
        head, criterion.entity_losses(head.decode(*head.pixel_decoder(features)), targets)
    )


def _mmdet_training(sizes: HeadSizes) -> Run:
    head = build_mmdet(sizes).train()
    features = image_features(sizes, sizes.train_size)
    targets = mmdet_targets(sizes)
    return lambda: _backward(head, head.loss_by_feat(*head(features, []), targets, [{}]))


def our_targets(sizes: HeadSizes) -> tuple[list[ClipTargets], SetCriterion]:
    labels, masks = objects(sizes)
    return [ClipTargets(labels, masks.unsqueeze(1))], SetCriterion(num_points=sizes.num_points)


def mmdet_targets(sizes: HeadSizes) -> list[InstanceData]:
    labels, masks = objects(sizes)
    return [InstanceData(labels=labels, masks=masks.long())]  # the type that mmdet's preprocessing makes


def _our_panoptic(sizes: HeadSizes) -> Run:
    classes, masks = scene(sizes)
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
    classes, masks = scene(sizes)
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


@dataclass(frozen=True)
class Check:
    """The difference between the two sides.

    Attributes:
        deviation: the largest one, relative to the largest value.
        tolerance: the largest deviation that is allowed.
    """

    deviation: float
    tolerance: float

    @property
    def passed(self) -> bool:
        return self.deviation <= self.tolerance


class SharedPoints(TorchFunctionMode):
    """Inside this block ``torch.rand`` draws the same numbers for each row and at each call.

    Both sides then sample the same points, although one draws them layer by layer and the other for all layers.
    """

    def __torch_function__(
        self, func: Callable, types: tuple, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is not torch.rand:
            return func(*args, **(kwargs or {}))
        rows, *shape = args[0] if len(args) == 1 else args
        row = torch.empty(shape).uniform_(generator=torch.Generator().manual_seed(0))
        return row.expand(rows, *shape).clone()


def check_masks(sizes: HeadSizes) -> Check:
    """Stride-4 mask logits after every layer, the same weights and image.

    Our position encoding has a third axis, time, which is constant for an image: it adds the same to every attention
    logit of a query, and so changes nothing.
    """
    ours, mmdet = build_ours(sizes).eval(), build_mmdet(sizes).eval()
    features = image_features(sizes, sizes.image_size)
    with torch.no_grad():
        outputs = ours.query_decoder(*ours.pixel_decoder(features))
        _, masks = mmdet(features, [])
        deviations = [
            _deviation(output.mask_logits[:, :, 0], mask) for output, mask in zip(outputs, masks, strict=True)
        ]
    # rounding may move a cell across the border of an attention mask
    return Check(max(deviations), 1e-2)


def check_losses(sizes: HeadSizes) -> Check:
    """Class, mask and dice losses of every layer, the same predictions and sampled points."""
    head, mmdet = build_ours(sizes).eval(), build_mmdet(sizes)
    targets, criterion = our_targets(sizes)
    with torch.no_grad(), SharedPoints():
        outputs = head.decode(*pixel_features(sizes, sizes.train_size))
        ours = criterion.entity_losses(outputs, targets)
        masks = [output.mask_logits[:, :, 0] for output in outputs]
        classes = [output.class_logits for output in outputs]
        theirs = mmdet.loss_by_feat(classes, masks, mmdet_targets(sizes), [{}])
    return Check(max(_deviation(ours[name], value) for name, value in theirs.items()), 1e-4)


def check_panoptic(sizes: HeadSizes) -> Check:
    """The panoptic map: the share of pixels that differ, which must be 0."""
    case = CASES["panoptic"]
    ours, theirs = case.ours(sizes)(), case.mmdet(sizes)()
    return Check((ours != theirs).float().mean().item(), 0.0)


CHECKS = {"mask_logits": check_masks, "losses": check_losses, "panoptic_map": check_panoptic}


def _deviation(ours: Tensor, theirs: Tensor) -> float:
    return ((ours - theirs).abs().max() / theirs.abs().max()).item()


def take_turns(case: Case, sizes: HeadSizes, repeats: int) -> dict[str, Timing]:
    """Median times of each side, see :func:`alternate`."""
    return alternate({side: case.prepare(side, sizes) for side in SIDES}, repeats)


def peak_growth(case: str, side: str, sizes: HeadSizes, threads: int) -> int:
    """Bytes by which a fresh process grows at its peak while it runs a side once.

    Its libraries were loaded by a tiny case before; weights and inputs exist before, too.

    Raises:
        RuntimeError: the process failed; the message ends with its own.
    """
    arguments = [case, side, str(threads), sizes.to_json()]
    return int(run_fresh(__spec__.name, arguments, f"the memory of {case}, {side},", **NO_HEAP))


def main(case: str, side: str, threads: str, sizes: str) -> None:
    torch.set_num_threads(int(threads))
    CASES[case].prepare(side, TINY)()
    print(growth_of(CASES[case].prepare(side, HeadSizes.from_json(sizes))))


def run_checks(sizes: HeadSizes) -> dict[str, dict[str, Any]]:
    """All checks, by name."""
    results = {name: check(sizes) for name, check in CHECKS.items()}
    return {name: {**asdict(result), "passed": result.passed} for name, result in results.items()}


def run_case(name: str, sizes: HeadSizes, repeats: int) -> dict[str, Any]:
    """Times and extra memory of both sides, our gain, and whether it reaches the target."""
    case = CASES[name]
    memory = {side: peak_growth(name, side, sizes, torch.get_num_threads()) for side in SIDES}
    timings = take_turns(case, sizes, repeats)
    ours, mmdet = (timings[side] for side in SIDES)
    speedup = mmdet.seconds / ours.seconds
    share = memory["ours"] / memory["mmdet"]
    return {
        "compares": case.title,
        **{side: {**asdict(timings[side]), "extra_bytes": memory[side]} for side in SIDES},
        "speedup": speedup,
        "cpu_speedup": mmdet.cpu_seconds / ours.cpu_seconds,
        "memory_share": share,
        "target": {"speedup": case.speedup, "memory_share": case.memory},
        "reached": (case.speedup is None or speedup >= case.speedup)
        and (case.memory is None or share <= case.memory),
    }


def table(cases: dict[str, dict[str, Any]], checks: dict[str, dict[str, Any]]) -> Iterable[str]:
    """Lines to print."""
    header = (
        "case",
        "seconds: ours, mmdet",
        "faster (target)",
        "extra MB: ours, mmdet",
        "share (target)",
        "reached",
    )
    rows = []
    for name, case in cases.items():
        ours, mmdet, target = case["ours"], case["mmdet"], case["target"]
        speedup = f"{case['speedup']:.1f}x" + (f" ({target['speedup']}x)" if target["speedup"] else "")
        share = f"{case['memory_share']:.0%}"
        share += f" ({target['memory_share']:.0%})" if target["memory_share"] else ""
        rows.append(
            (
                name,
                f"{ours['seconds']:.2f}, {mmdet['seconds']:.2f}",
                speedup,
                f"{ours['extra_bytes'] / 2**20:.0f}, {mmdet['extra_bytes'] / 2**20:.0f}",
                share,
                "yes" if case["reached"] else "NO",
            )
        )
    yield markdown_table(header, rows)
    yield ""
    for name, case in cases.items():
        yield f"{name}: {case['compares']}"
    for name, check in checks.items():
        verdict = "equal" if check["passed"] else "DIFFERENT"
        yield f"{name}: {verdict} (deviation {check['deviation']:.1e}, tolerance {check['tolerance']:.0e})"


if __name__ == "__main__":
    main(*sys.argv[1:])
