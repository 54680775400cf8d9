"""What the page accepts."""

from __future__ import annotations

from dataclasses import dataclass, fields

MEGABYTE = 1 << 20


class Refused(ValueError):
    """A request that the page does not take; the message is for its sender."""


@dataclass(frozen=True)
class Limits:
    """Bounds on what one request, one visitor and all visitors together may use.

    Attributes:
        upload_mb: size of an uploaded file, in megabytes of 2**20 bytes.
        image_megapixels: width x height of a picture.
        video_megapixels: width x height of a video's frames.
        video_seconds: length of a video.
        video_frames: number of a video's frames.
        words: number of words in a vocabulary.
        clicks: prompts on one picture.
        waiting: requests that may wait for the model, which works on one at a time.
        visitors: pages whose state is remembered; the one that was idle for longest is forgotten.
        stored_mb: uploads and results of all visitors together; the oldest make room.
        keep_minutes: uploads and results are deleted after this time.

    Raises:
        ValueError: a limit is not positive, or `stored_mb` is less than an upload needs.
    """

    upload_mb: float = 100
    image_megapixels: float = 25
    video_megapixels: float = 2.5
    video_seconds: float = 60
    video_frames: int = 1800
    words: int = 200
    clicks: int = 40
    waiting: int = 16
    visitors: int = 32
    stored_mb: float = 2000
    keep_minutes: float = 60

    def __post_init__(self) -> None:
        for field in fields(self):
            if not getattr(self, field.name) > 0:
                raise ValueError(f"limit {field.name}={getattr(self, field.name)}: give a number above 0")
        if self.stored_mb < self.upload_mb + 1:
            raise ValueError(
                f"limit stored_mb={self.stored_mb:g}: give more than upload_mb={self.upload_mb:g}"
            )

    @property
    def upload_bytes(self) -> int:
        return int(self.upload_mb * MEGABYTE)

    @property
    def stored_bytes(self) -> int:
        return int(self.stored_mb * MEGABYTE)

    @property
    def keep_seconds(self) -> int:
        return max(int(self.keep_minutes * 60), 1)
