"""What a frame costs: OMG-Seg and its real-time relative RAP-SAM at the published size, and streams of trained models.

``python -m benchmarks.frames CONFIG WIDTH HEIGHT THREADS`` prints the bytes by which a process grows that sees a frame.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from mmdet.structures import DetDataSample

from benchmarks.processes import NO_HEAP, Run, alternate, environment, growth_of, run_fresh
from benchmarks.use import StreamSettings, make_picture, measure_stream, picture_size
from omgseg.engine.model_cost import model_cost
from omgseg.inference.loading import read_config
from omgseg.models.omgseg.adapter import build_model
from omgseg.models.omgseg.model import OMGSeg
from omgseg.structures import Vocabulary
from omgseg.tables import markdown_table

REPOSITORY = Path(__file__).parents[1]
CONFIGS = (
    REPOSITORY / "configs" / "omg_coco_vipseg_ytvis.py",
    REPOSITORY / "projects" / "rap_sam" / "configs" / "rap_sam_r50.py",
    REPOSITORY / "projects" / "rap_sam" / "configs" / "rap_sam_r18.py",
)
SIZE = (1280, 736)
NUM_WORDS = 133
"""Of COCO panoptic."""
TARGET = 6.0
"""How many times as fast as the first model."""
SMALL = (64, 64)
STREAM_SIZE = (128, 128)
"""Of the toy world's videos."""


def read_model(config: Path) -> OMGSeg:
    """The model of a config with random weights and random words: what they are changes no time."""
    model = build_model(read_config(str(config)).model, None).requires_grad_(False)
    size = model.text_encoder.embed_dim
    model.text_encoder = lambda words: F.normalize(torch.randn(len(words), 1, size), dim=-1)
    model.set_vocabulary(Vocabulary.from_names([f"word {number}" for number in range(NUM_WORDS)]))
    return model


def prepare(model: OMGSeg, size: tuple[int, int]) -> Run:
    """From the pixels of a frame to class and mask logits of all queries; a read-out depends on what is in the frame.

    Args:
        size: (width, height).
    """
    pixels = torch.from_numpy(make_picture(size)).permute(2, 0, 1).unsqueeze(0)
    sizes = dict(img_shape=size[::-1], ori_shape=size[::-1], scale_factor=(1.0, 1.0))

    def run() -> tuple[torch.Tensor, torch.Tensor]:
        _, _, output = model.decode_clip(pixels, [DetDataSample(metainfo=sizes)])
        return output.class_logits, output.mask_logits

    return run


def costs(config: Path, size: tuple[int, int]) -> dict[str, float]:
    """Parameters, and multiply-additions of a frame."""
    parts = model_cost(read_config(str(config)).model, size[::-1], NUM_WORDS)
    return {
        "parameters": sum(part.parameters for part in parts),
        "macs": sum(part.flops for part in parts) / 2,
    }


def peak_growth(config: Path, size: tuple[int, int], threads: int) -> int:
    """Bytes by which a fresh process grows at its peak while it sees a frame; weights and pixels exist before.

    Raises:
        RuntimeError: the process failed; the message ends with its own.
    """
    arguments = [str(config), *map(str, size), str(threads)]
    return int(run_fresh(__spec__.name, arguments, f"the memory of {config.stem}", **NO_HEAP))


@torch.no_grad()
def main(config: str, width: str, height: str, threads: str) -> None:
    torch.set_num_threads(int(threads))
    model = read_model(Path(config))
    prepare(model, SMALL)()  # loads libraries
    print(growth_of(prepare(model, (int(width), int(height)))))


@torch.no_grad()
def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Costs, times and memory by model."""
    models = {config.stem: read_model(config) for config in args.configs}
    timings = alternate({name: prepare(model, args.size) for name, model in models.items()}, args.repeats)
    del models
    first = next(iter(timings.values()))
    result = {}
    for config in args.configs:
        print(f"measuring the memory of {config.stem} ...", flush=True)
        timing = timings[config.stem]
        result[config.stem] = {
            **costs(config, args.size),
            **asdict(timing),
            "speedup": first.seconds / timing.seconds,
            "cpu_speedup": first.cpu_seconds / timing.cpu_seconds,
            "extra_bytes": peak_growth(config, args.size, torch.get_num_threads()),
        }
    return result


def measure_streams(args: argparse.Namespace) -> dict[str, float]:
    """Frames per second of each trained model, the median of runs that take turns, each in a process of its own."""
    threads = torch.get_num_threads()
    found: dict[str, list[float]] = {folder: [] for folder in args.streams}
    for _ in range(args.repeats):
        for folder in args.streams:
            settings = StreamSettings(folder, STREAM_SIZE, None, None, args.frames, threads)
            found[folder].append(measure_stream(settings)["frames_per_second"])
    return {folder: statistics.median(values) for folder, values in found.items()}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--configs",
        type=Path,
        nargs="*",
        default=list(CONFIGS),
        help="models to measure, compared with the first (default: OMG-Seg ConvNeXt-L, RAP-SAM R50 and R18)",
    )
    parser.add_argument(
        "--size", type=picture_size, default=SIZE, metavar="WxH", help="of the frame (default 1280x736)"
    )
    parser.add_argument(
        "--streams",
        nargs="+",
        default=[],
        metavar="FOLDER",
        help="trained toy models, of which streams of frames are measured, compared with the first",
    )
    parser.add_argument("--frames", type=int, default=100, help="of a stream (default 100)")
    parser.add_argument("--repeats", type=int, default=3, help="measured runs per model (default 3)")
    parser.add_argument("--threads", type=int, help="threads of PyTorch (default: PyTorch's own choice)")
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")


def run(args: argparse.Namespace) -> int:
    """Returns 0."""
    if args.threads:
        torch.set_num_threads(args.threads)
    result: dict[str, Any] = {"environment": environment(), "repeats": args.repeats, "size": args.size}
    if args.configs:
        result["frame"] = measure(args)
    if args.streams:
        print("measuring streams ...", flush=True)
        result["streams"] = measure_streams(args)
    print("\n" + "\n".join(frame_tables(result)))
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + "\n")
    return 0


def frame_tables(result: dict[str, Any]) -> Iterator[str]:
    """Lines to print."""
    if "frame" in result:
        rows = [
            (
                name,
                f"{found['parameters'] / 1e6:.1f} M",
                f"{found['macs'] / 1e9:.0f}",
                f"{found['seconds']:.2f} s",
                f"{found['speedup']:.1f}x",
                f"{found['cpu_speedup']:.1f}x",
                f"{found['extra_bytes'] / 2**20:.0f}",
            )
            for name, found in result["frame"].items()
        ]
        header = ("model", "parameters", "G mult-adds", "a frame", f"faster (wanted {TARGET:g}x)")
        header += ("processor time", "extra MB")
        yield markdown_table(header, rows, right=range(1, len(header)))
    if "streams" in result:
        first = next(iter(result["streams"].values()))
        rows = [(name, f"{speed:.1f}", f"{speed / first:.1f}x") for name, speed in result["streams"].items()]
        yield ""
        yield markdown_table(("stream", "frames per second", "faster"), rows, right=(1, 2))


if __name__ == "__main__":
    main(*sys.argv[1:])
