"""A stream of frames in a process of its own: frames a second, and whether memory stays flat.

``python -m omgseg.benchmark.use_stream SETTINGS`` prints the numbers; both are JSON.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from omgseg.benchmark.fresh_process import run_fresh
from omgseg.benchmark.use_cases import make_picture
from omgseg.engine.benchmarks import process_bytes
from omgseg.inference import OMGSegInferencer, read_image
from omgseg.inference.sources import Frame, Source

EARLY = 50
"""Memory is read after so many frames, when everything that a stream needs has been there, and at the end."""
SHIFT = 4
"""Pixels by which a frame's content lies to the right of that of the frame before."""


@dataclass(frozen=True)
class StreamSettings:
    """Of one run.

    Attributes:
        run: the work folder of a training.
        size: (width, height) of the generated frames, where there is no picture.
        picture: an image file that all frames show; None: one is generated.
        scale: (width, height) that the model sees; None: the config's test size.
        frames: how many.
        threads: of PyTorch.
    """

    run: str
    size: tuple[int, int]
    picture: str | None
    scale: tuple[int, int] | None
    frames: int
    threads: int

    def read_picture(self) -> np.ndarray:
        """RGB uint8 (H, W, 3)."""
        return make_picture(self.size) if self.picture is None else read_image(self.picture)

    def build(self) -> OMGSegInferencer:
        return OMGSegInferencer(self.run, scale=self.scale)


def measure_stream(settings: StreamSettings) -> dict[str, Any]:
    """Frames a second and memory of a panoptic stream in a fresh process.

    Returns:
        ``frames``, ``frames_per_second``, and ``memory``: after how many frames (text, as JSON's keys are), the
        resident and the highest resident memory of the process so far, in MiB; 0 where the system does not tell.
    """
    return json.loads(run_fresh(__spec__.name, [json.dumps(asdict(settings))], "a stream of frames"))


def _run_stream(settings: StreamSettings) -> dict[str, Any]:
    seg, picture = settings.build(), settings.read_picture()
    for _ in seg.stream(_moving(picture, seg.model.test_config.clip_size)):
        pass  # the first clip loads libraries
    memory = {}
    start = time.perf_counter()
    for number, _ in enumerate(seg.stream(_moving(picture, settings.frames)), 1):
        if number in (EARLY, settings.frames):
            memory[str(number)] = {
                "resident_mib": process_bytes("VmRSS") / 2**20,
                "peak_mib": process_bytes("VmHWM") / 2**20,
            }
    seconds = time.perf_counter() - start
    return {
        "frames": settings.frames,
        "frames_per_second": settings.frames / seconds,
        "memory": memory,
    }


def _moving(picture: np.ndarray, count: int) -> Source:
    """A video of a picture that moves; a frame exists only when it is read."""

    def read(_: Any) -> Iterator[Frame]:
        for index in range(count):
            yield Frame(np.roll(picture, SHIFT * index, axis=1), None, str(index), index)

    return Source(read, "generated", is_video=True, length=count)


def main(settings: str) -> None:
    given = StreamSettings(**json.loads(settings))
    torch.set_num_threads(given.threads)
    print(json.dumps(_run_stream(given)))


if __name__ == "__main__":
    main(*sys.argv[1:])
