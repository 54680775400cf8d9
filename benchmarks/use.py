"""What users wait for: an image, an image that is to be clicked on, a click, the frames of a stream.

``python -m benchmarks.use SETTINGS`` measures a stream in a process of its own; settings and numbers are JSON.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.processes import environment, run_fresh
from omgseg import OMGSegInferencer, read_image
from omgseg.engine.benchmarks import process_bytes
from omgseg.inference import Frame, Source
from omgseg.tables import markdown_table


def make_picture(size: tuple[int, int]) -> np.ndarray:
    """RGB uint8 (H, W, 3): bright boxes on a gradient.

    Args:
        size: (width, height).
    """
    width, height = size
    random = np.random.default_rng(0)
    rows, columns = np.ogrid[:height, :width]
    picture = np.empty((height, width, 3), np.uint8)
    picture[..., 0], picture[..., 1] = columns * 255 // width, rows * 255 // height
    picture[..., 2] = (rows + columns) % 256
    for _ in range(12):
        left, top = random.integers(0, (width, height))
        picture[top : top + height // 5, left : left + width // 6] = random.integers(256, size=3)
    return picture


def measure_use(
    seg: OMGSegInferencer, picture: np.ndarray, repeats: int, num_clicks: int
) -> dict[str, dict[str, float]]:
    """Medians of a whole image (panoptic), of setting an image and of clicks on it, each at another place.

    The three take turns, so that a machine's other work disturbs all alike; the first turn does not count.

    Args:
        picture: RGB uint8 (H, W, 3).
        repeats: images.
        num_clicks: clicks in all.
    """
    height, width = picture.shape[:2]
    random = np.random.default_rng(0)
    seconds: dict[str, list[float]] = {"image": [], "set_image": [], "click": []}
    for turn in range(repeats + 1):
        clicks = random.uniform(0, (width, height), (-(-num_clicks // repeats), 2))
        runs: list[tuple[str, Callable[[], Any]]] = [
            ("image", lambda: seg(picture)),
            ("set_image", lambda: seg.interactive.set_image(picture)),
            *(("click", lambda click=click: seg.interactive.predict(points=[click])) for click in clicks),
        ]
        for name, run in runs:
            duration = _seconds_of(run)
            if turn:
                seconds[name].append(duration)
    image, set_image, click = (statistics.median(values) for values in seconds.values())
    return {
        "image": {"seconds": image},
        "set_image": {"seconds": set_image},
        "click": {"milliseconds": 1e3 * click, "per_second": 1 / click, "share_of_image": click / image},
    }


def _seconds_of(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    run()
    if torch.accelerator.is_available():  # set_image does not wait for it
        torch.accelerator.synchronize()
    return time.perf_counter() - start


EARLY = 50
"""Memory is read after so many frames, when everything that a stream needs has been there, and at the end."""
WARM_UP = 10
"""Frames that are not measured."""
SHIFT = 4
"""Pixels by which a frame's content lies to the right of that of the frame before."""


@dataclass(frozen=True)
class StreamSettings:
    """Of one run.

    Attributes:
        run: what OMGSegInferencer loads: the folder of a training, a config, or a name.
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
    """Frames per second and memory of a panoptic stream in a fresh process.

    Returns:
        ``frames``, ``frames_per_second``, and ``memory``: after how many frames (text, as JSON's keys are), the
        resident and the highest resident memory of the process so far, in MiB; 0 where the system does not tell.
    """
    return json.loads(run_fresh(__spec__.name, [json.dumps(asdict(settings))], "a stream of frames"))


def _run_stream(settings: StreamSettings) -> dict[str, Any]:
    seg, picture = settings.build(), settings.read_picture()
    for _ in seg.stream(moving(picture, WARM_UP)):
        pass  # the first clips load libraries
    memory = {}
    start = time.perf_counter()
    for number, _ in enumerate(seg.stream(moving(picture, settings.frames)), 1):
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


def moving(picture: np.ndarray, count: int) -> Source:
    """A video of a picture that moves; a frame exists only when it is read."""

    def read(_: Any) -> Iterator[Frame]:
        for index in range(count):
            yield Frame(np.roll(picture, SHIFT * index, axis=1), None, str(index), index)

    return Source(read, "generated", is_video=True, length=count)


def main(settings: str) -> None:
    given = StreamSettings(**json.loads(settings))
    torch.set_num_threads(given.threads)
    print(json.dumps(_run_stream(given)))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--run",
        dest="folder",
        default="work_dirs/demo/train",
        metavar="FOLDER",
        help="folder of a training, a config, or a name (default work_dirs/demo/train)",
    )
    parser.add_argument(
        "--size",
        type=picture_size,
        default=(1280, 720),
        metavar="WxH",
        help="of the images (default 1280x720)",
    )
    parser.add_argument("--picture", metavar="FILE", help="an image to use instead of a generated one")
    parser.add_argument(
        "--scale",
        type=picture_size,
        metavar="WxH",
        help="that the model sees (default: the test size of the config)",
    )
    parser.add_argument("--repeats", type=_count, default=5, help="measured images (default 5)")
    parser.add_argument("--clicks", type=_count, default=30, help="measured clicks (default 30)")
    parser.add_argument("--frames", type=_count, default=300, help="of the stream (default 300)")
    parser.add_argument("--threads", type=int, help="threads of PyTorch (default: PyTorch's own choice)")
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")


def run(args: argparse.Namespace) -> int:
    """Returns 0."""
    if args.threads:
        torch.set_num_threads(args.threads)
    settings = StreamSettings(
        args.folder, args.size, args.picture, args.scale, args.frames, torch.get_num_threads()
    )
    picture = settings.read_picture()
    height, width = picture.shape[:2]
    seg = settings.build()
    result: dict[str, Any] = {
        "environment": environment(),
        "settings": {**asdict(settings), "size": (width, height), "scale": seg.abilities.test_size},
        "repeats": args.repeats,
    }
    print(f"measuring images and clicks of {width}x{height} ...", flush=True)
    result.update(measure_use(seg, picture, args.repeats, args.clicks))
    del seg
    print(f"measuring a stream of {args.frames} frames ...", flush=True)
    result["stream"] = measure_stream(settings)
    print("\n" + "\n".join(use_table(result)))
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + "\n")
    return 0


def use_table(result: dict[str, Any]) -> Iterator[str]:
    """Lines to print."""
    click, stream = result["click"], result["stream"]
    per_click = f"{click['milliseconds']:.1f} ms, {click['per_second']:.0f} per second"
    rows = [
        ("image, panoptic", f"{result['image']['seconds']:.3f} s"),
        ("set_image", f"{result['set_image']['seconds']:.3f} s"),
        ("click", f"{per_click}, {click['share_of_image']:.1%} of an image"),
        (f"stream of {stream['frames']} frames", f"{stream['frames_per_second']:.1f} frames per second"),
    ]
    for number, memory in stream["memory"].items():
        used = f"{memory['resident_mib']:.0f} MiB, {memory['peak_mib']:.0f} MiB at the peak"
        rows.append((f"memory after frame {number}", used))
    yield markdown_table(("what", "measured"), rows)


def picture_size(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is not WIDTHxHEIGHT, for example 1280x720")
    return int(found[1]), int(found[2])


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 up")
    return int(text)


if __name__ == "__main__":
    main(*sys.argv[1:])
