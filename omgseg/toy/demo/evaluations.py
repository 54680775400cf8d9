"""What the demo measures, and what it must reach."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """One number of the report.

    Attributes:
        key: name in ``metrics.json``.
        task: what it says, for people.
        required: the least acceptable value in percent; None for a control.
        source: the evaluator's own name where that differs from `key`.
    """

    key: str
    task: str
    required: float | None = None
    source: str | None = None


@dataclass(frozen=True)
class Evaluation:
    """One run over test data: a config of ``configs/toy`` and the numbers taken from it."""

    config: str
    metrics: tuple[Metric, ...]


EVALUATIONS = (
    Evaluation(
        "joint",
        (
            Metric("coco_panoptic/PQ", "panoptic segmentation of images", 60),
            Metric("coco_instance/AP", "instance segmentation of images (mask AP)", 40),
            Metric("semantic/mIoU", "semantic segmentation of images", 70),
        ),
    ),
    Evaluation("vipseg", (Metric("vipseg/VPQ", "panoptic segmentation of videos", 50),)),
    Evaluation("youtube_vis", (Metric("youtube_vis/AP", "instance segmentation of videos", 40),)),
    Evaluation("davis", (Metric("davis/J&F", "video object segmentation", 60),)),
    Evaluation("interactive", (Metric("interactive/mIoU", "one click for each mask", 70),)),
    Evaluation(
        "open_vocabulary",
        (Metric("open_vocabulary/PQ_novel", "panoptic segmentation of categories never trained", 25),),
    ),
    Evaluation(
        "open_vocabulary_permuted",
        (
            Metric(
                "open_vocabulary/PQ_novel_permuted",
                "the same with the novel words exchanged (a control: lower is right)",
                source="open_vocabulary/PQ_novel",
            ),
        ),
    ),
)

NOVEL_OVER_PERMUTED = 4.0
"""Novel categories must score this many times what they score under exchanged words."""
