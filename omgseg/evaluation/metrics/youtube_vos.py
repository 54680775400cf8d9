"""Submissions of YouTube-VOS, whose evaluation splits have no public masks."""

from __future__ import annotations

from typing import Any

from omgseg.evaluation.metrics.base import SampleMetric
from omgseg.evaluation.submission import MapSubmission
from omgseg.registry import METRICS


@METRICS.register_module()
class YouTubeVOSMetric(SampleMetric):
    """Writes ``pred_vos_seg`` (object ids) of every frame as the YouTube-VOS server wants it.

    A zip with ``Annotations/<video>/<frame>.png`` for all frames of the data set, named after the images
    (https://competitions.codalab.org/competitions/20127, "Submission").

    Values: ``videos``, the number of those written; scores come from the server.

    Args:
        submission: the zip file.
        kwargs: see :class:`SampleMetric`.
    """

    default_prefix = "youtube_vos"
    NUM_WORKERS = 2

    def __init__(self, submission: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.submission = MapSubmission(submission, folder="Annotations")

    def reduce(self, sample: dict[str, Any]) -> list[str]:
        """Names of the files written."""
        return self.submission.add(str(sample["video_id"]), self.named_maps(sample, "pred_vos_seg"))

    def summarize(self, results: dict[Any, list[str]]) -> dict[str, float]:
        self.submission.pack([name for names in results.values() for name in names])
        return {"videos": len(results)}
