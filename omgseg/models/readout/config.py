"""What can be chosen at test time."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Any

from omgseg.models.readout.panoptic import PanopticConfig


@dataclass(frozen=True)
class TestConfig:
    """``test_cfg`` of the model.

    Attributes:
        panoptic: thresholds of the panoptic read-out.
        max_per_image: (query, class) pairs of the instance read-out.
        min_score: pairs of a lower class probability are not read out; the score, which is that times the confidence
            of the mask, would be lower still.
        ensemble: fuse class scores with the frozen CLIP's own.
        alpha, beta: CLIP's share for seen and for unseen classes.
        clip_size: frames of a clip of a test video.
        short_video, short_clip_size: videos of at most `short_video` frames are split into shorter clips.
        num_proposals: queries of the highest objectness that may continue a first-frame mask.
        num_candidates: queries whose masks are remembered a clip; the others are empty there.
    """

    panoptic: PanopticConfig = field(default_factory=PanopticConfig)
    max_per_image: int = 100
    min_score: float = 0.0
    ensemble: bool = True
    alpha: float = 0.4
    beta: float = 0.8
    clip_size: int = 5
    short_video: int = 15
    short_clip_size: int = 3
    num_proposals: int = 25
    num_candidates: int = 100

    def clip_size_for(self, num_frames: int) -> int:
        """Frames of a clip, for a video of this length."""
        return self.short_clip_size if num_frames <= self.short_video else self.clip_size

    @classmethod
    def from_dict(cls, config: dict[str, Any] | None) -> TestConfig:
        """Read a config's ``test_cfg``.

        Raises:
            ValueError: a key that does not exist, with the nearest one that does.
        """
        config = dict(config or {})
        panoptic = config.pop("panoptic", {})
        _check_keys(config, [f.name for f in fields(cls)], "test_cfg")
        _check_keys(panoptic, [f.name for f in fields(PanopticConfig)], "test_cfg.panoptic")
        return cls(panoptic=PanopticConfig(**panoptic), **config)


def _check_keys(config: dict[str, Any], known: list[str], where: str) -> None:
    for key in config:
        if key not in known:
            near = get_close_matches(key, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"{where} has no key {key!r}{hint} (keys: {', '.join(known)})")
