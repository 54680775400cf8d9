"""Labels that a model made: their scores are weights in the losses, and what the model was unsure of is ignored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from omgseg.datasets.problems import ProblemKind, report_problem
from omgseg.datasets.segments import FrameMasks
from omgseg.messages import shown


@dataclass(frozen=True)
class PseudoLabels:
    """How far labels are trusted.

    A segment of `sure_score` or more is learned, with its score as the weight of its losses. The pixels of another one
    are ignored, unless a sure segment covers them. In a panoptic map, where every pixel should have a segment, the
    pixels without a sure one are ignored.

    Attributes:
        sure_score: 0 to 1.
        min_score: segments with a lower score count as not found: their pixels are not ignored (in panoptic maps they
            still are, as pixels without a segment).

    Raises:
        ValueError: the scores are not 0 <= min_score <= sure_score <= 1.
    """

    sure_score: float
    min_score: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.min_score <= self.sure_score <= 1:
            raise ValueError(
                f"pseudo_labels: min_score {self.min_score} and sure_score {self.sure_score} must be "
                "0 <= min_score <= sure_score <= 1"
            )

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> PseudoLabels:
        """Build from the argument ``pseudo_labels`` of a dataset.

        Raises:
            ValueError: ``sure_score`` is missing, or there is an unknown key.
        """
        if "sure_score" not in config or set(config) - {field.name for field in fields(cls)}:
            raise ValueError(
                f"pseudo_labels has 'sure_score' and, optionally, 'min_score', not {dict(config)}"
            )
        return cls(**config)

    def finds(self, entry: Mapping[str, Any], where: str) -> bool:
        """Whether a segment of an annotation file has a score of `min_score` or more; see :func:`check_score`."""
        return check_score(entry, where) and entry["score"] >= self.min_score

    def split(self, segments: FrameMasks, whole_map: bool) -> tuple[FrameMasks, np.ndarray]:
        """The sure segments of a frame, and its ignored pixels.

        Args:
            segments: with scores.
            whole_map: every pixel should have a segment.

        Returns:
            segments, and uint8 0/1 (H, W).
        """
        is_sure = segments.scores >= self.sure_score
        sure = segments.select(is_sure)
        ignored = ~sure.masks.any(0)
        if not whole_map:
            ignored &= segments.masks[~is_sure].any(0)
        return sure, ignored.view(np.uint8)


def check_score(entry: Mapping[str, Any], where: str) -> bool:
    """Whether a segment of an annotation file has a score.

    Args:
        entry: the segment.
        where: the file and the segment, for the error.

    Raises:
        ValueError: ``score`` is missing, or not a number from 0 to 1.
    """
    score = entry.get("score")
    if type(score) in (int, float) and 0 <= score <= 1:  # NaN is in no range
        return True
    found = f"'score' is {shown(score)}" if "score" in entry else "there is no 'score'"
    text = f"{where}: {found}, pseudo labels need a number from 0 to 1; 'omgseg label' writes it"
    report_problem(ProblemKind.ANNOTATION, ValueError(text))
    return False
