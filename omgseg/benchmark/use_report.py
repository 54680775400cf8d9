"""The benchmark of use as a command: measure, print a table, write JSON."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from omgseg.benchmark.report import environment
from omgseg.benchmark.use_cases import measure_use
from omgseg.benchmark.use_stream import StreamSettings, measure_stream


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--run",
        dest="folder",
        default="work_dirs/demo/train",
        metavar="FOLDER",
        help="work folder of a training (default work_dirs/demo/train)",
    )
    parser.add_argument(
        "--size", type=_size, default=(1280, 720), metavar="WxH", help="of the images (default 1280x720)"
    )
    parser.add_argument("--picture", metavar="FILE", help="an image to use instead of a generated one")
    parser.add_argument(
        "--scale",
        type=_size,
        metavar="WxH",
        help="that the model sees (default: the test size of the config)",
    )
    parser.add_argument("--repeats", type=_count, default=5, help="measured images (default 5)")
    parser.add_argument("--clicks", type=_count, default=30, help="measured clicks (default 30)")
    parser.add_argument("--frames", type=_count, default=300, help="of the stream (default 300)")
    parser.add_argument("--threads", type=int, help="threads of PyTorch (default: PyTorch's own choice)")
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")


def benchmark_use(args: argparse.Namespace) -> int:
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
        "settings": {**asdict(settings), "size": (width, height), "scale": seg.resize.scale},
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
    yield "| what | measured |"
    yield "|---|---|"
    yield f"| image, panoptic | {result['image']['seconds']:.3f} s |"
    yield f"| set_image | {result['set_image']['seconds']:.3f} s |"
    yield (
        f"| click | {click['milliseconds']:.1f} ms, {click['per_second']:.0f} a second,"
        f" {click['share_of_image']:.1%} of an image |"
    )
    yield f"| stream of {stream['frames']} frames | {stream['frames_per_second']:.1f} frames a second |"
    for number, memory in stream["memory"].items():
        yield (
            f"| memory after frame {number} | {memory['resident_mib']:.0f} MiB,"
            f" {memory['peak_mib']:.0f} MiB at the peak |"
        )


def _size(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is not WIDTHxHEIGHT, for example 1280x720")
    return int(found[1]), int(found[2])


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 up")
    return int(text)
