"""What a device does with OMG-Seg: the whole model beside its trunk, the head beside mmdet's, read-outs, a training
step, images, clicks and streams."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from torch import nn

from benchmarks import frames
from benchmarks.head import CASES, SIDES
from benchmarks.head_sides import TINY, HeadSizes, objects, scene
from benchmarks.processes import Run, alternate, environment
from benchmarks.use import WARM_UP, make_picture, measure_use, moving
from omgseg import OMGSegInferencer
from omgseg.compat import has_compiled_ops
from omgseg.engine.benchmarks import peak_bytes, reset_peak
from omgseg.inference.loading import read_config
from omgseg.models.geometry import normalize
from omgseg.models.mask_queries.readout import ReadoutConfig, set_image_predictions
from omgseg.models.omgseg.adapter import OMGSegSegmenter
from omgseg.models.omgseg.model import OMGSeg
from omgseg.structures import Category, Task, Vocabulary
from omgseg.tables import markdown_table

TRUNK_TARGET = 1.5
"""Times of its trunk that the whole model may take."""
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
"""Names and types; the second one by autocast."""
READOUTS = (Task.PANOPTIC, Task.INSTANCE, Task.SEMANTIC)
_WITH_PIXEL_DECODER = ("head", "training")
"""Comparisons for which mmdet needs mmcv's compiled operators on a GPU."""


@dataclass(frozen=True)
class DeviceSizes:
    """Of one run.

    Attributes:
        config: of the model, whose weights and words are random.
        size: (width, height) of images.
        head: sizes of the comparisons with mmdet, of the read-outs, and of the images of a training step.
        batch: images of a training step.
        clicks, frames: how many.
    """

    config: Path = frames.CONFIGS[0]
    size: tuple[int, int] = frames.SIZE
    head: HeadSizes = HeadSizes(train_size=(1024, 1024))
    batch: int = 2
    clicks: int = 30
    frames: int = 100


QUICK = DeviceSizes(
    frames.REPOSITORY / "configs" / "toy" / "joint.py", (96, 64), replace(TINY, num_queries=20), 1, 2, 2
)
"""Shows that everything runs; its times mean nothing."""


def finished(run: Run, device: torch.device) -> Run:
    """With what the device does behind the host's back."""

    def waited() -> None:
        run()
        if device.type != "cpu":
            torch.accelerator.synchronize(device)

    return waited


def peak_of(run: Run) -> int:
    """The most bytes that are in use while it runs: on a GPU its memory with weights, else this process's."""
    reset_peak()
    run()
    return peak_bytes()


@torch.no_grad()
def measure_model(model: OMGSeg, sizes: DeviceSizes, repeats: int, compiled: bool) -> dict[str, Any]:
    """The trunk alone and the whole model, from pixels to logits, in each precision; compiled ones last."""
    device = next(model.parameters()).device
    pixels = torch.from_numpy(make_picture(sizes.size)).permute(2, 0, 1)[None, None].to(device)
    images = normalize(pixels, [sizes.size[::-1]], model.image_encoder.mean, model.image_encoder.std)
    whole = frames.prepare(model, sizes.size)
    found = {}
    for is_compiled in (False, True) if compiled else (False,):
        if is_compiled:
            for part in (model.image_encoder, model.pixel_decoder, model.query_decoder):
                part.compile()
        for precision, dtype in PRECISIONS.items():
            name = f"{precision}, compiled" if is_compiled else precision
            print(f"measuring the model, {name} ...", flush=True)
            with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
                runs = {
                    "trunk": finished(lambda: model.image_encoder(images), device),
                    "whole": finished(whole, device),
                }
                timings = alternate(runs, repeats)
                peak = peak_of(runs["whole"])
            trunk, seconds = (timings[part].seconds for part in ("trunk", "whole"))
            found[name] = dict(
                trunk_seconds=trunk, whole_seconds=seconds, whole_of_trunk=seconds / trunk, peak_bytes=peak
            )
    return found


def measure_head(sizes: DeviceSizes, device: torch.device, repeats: int) -> dict[str, dict[str, float]]:
    """Ours and mmdet's at the same sizes, by case."""
    found = {}
    for name, case in CASES.items():
        if name in _WITH_PIXEL_DECODER and device.type != "cpu" and not has_compiled_ops():
            continue
        print(f"measuring {name} beside mmdet's ...", flush=True)
        with device:
            runs = {side: finished(case.prepare(side, sizes.head), device) for side in SIDES}
            timings = alternate(runs, repeats)
            peaks = {f"{side}_peak_bytes": peak_of(run) for side, run in runs.items()}
        ours, mmdet = (timings[side].seconds for side in SIDES)
        found[name] = {"ours_seconds": ours, "mmdet_seconds": mmdet, "speedup": mmdet / ours, **peaks}
    return found


@torch.no_grad()
def measure_readouts(sizes: DeviceSizes, device: torch.device, repeats: int) -> dict[str, dict[str, float]]:
    """From the logits of a made-up scene to the predictions of an image, by task."""
    print("measuring read-outs ...", flush=True)
    with device:
        classes, masks = scene(sizes.head)
    words = Vocabulary(
        Category(f"word {number}", is_thing=number < sizes.head.num_things, id=number)
        for number in range(sizes.head.num_classes)
    )
    shapes = dict.fromkeys(("batch_input_shape", "img_shape", "ori_shape"), sizes.head.map_size)

    def read(task: Task) -> Run:
        sample = DetDataSample(metainfo=dict(tasks=(task.value,), **shapes))
        return finished(
            lambda: set_image_predictions(sample, classes.softmax(-1), masks, words, ReadoutConfig()), device
        )

    runs = {task.value: read(task) for task in READOUTS}
    timings = alternate(runs, repeats)
    return {
        name: {"seconds": timings[name].seconds, "peak_bytes": peak_of(run)} for name, run in runs.items()
    }


def measure_training(
    model: OMGSeg, sizes: DeviceSizes, device: torch.device, repeats: int
) -> dict[str, dict[str, float]]:
    """Forward, losses, backward and optimizer on a batch of images, the trunk frozen, in each precision."""
    print("measuring a training step ...", flush=True)
    height, width = sizes.head.train_size
    with device:
        labels, masks = objects(replace(sizes.head, num_things=frames.NUM_WORDS, num_stuff=0))
        inputs = torch.randint(256, (sizes.batch, 1, 3, height, width), dtype=torch.uint8)
    sample = DetDataSample(metainfo=dict(img_shape=(height, width), tasks=("panoptic",), img_path="made up"))
    sample.gt_instances = InstanceData(labels=labels, masks=masks)
    trained = nn.ModuleList((model.pixel_decoder, model.query_decoder, model.classifier)).requires_grad_(True)
    model.train()
    optimizer = torch.optim.AdamW(trained.parameters(), lr=1e-6)

    def step(dtype: torch.dtype) -> None:
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            losses = model.loss(inputs, [sample] * sizes.batch)
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()

    runs = {name: finished(partial(step, dtype), device) for name, dtype in PRECISIONS.items()}
    timings = alternate(runs, repeats)
    found = {
        name: {"seconds": timings[name].seconds, "peak_bytes": peak_of(run)} for name, run in runs.items()
    }
    model.eval().requires_grad_(False)
    return found


def measure_calls(model: OMGSeg, config: Any, sizes: DeviceSizes, repeats: int) -> dict[str, Any]:
    """What a user waits for in each precision: images, clicks, a stream."""
    found = {}
    picture = make_picture(sizes.size)
    for name, dtype in PRECISIONS.items():
        print(f"measuring images, clicks and a stream, {name} ...", flush=True)
        seg = OMGSegInferencer(OMGSegSegmenter.from_model(model, config, dtype), vocabulary=model.vocabulary)
        calls = measure_use(seg, picture, repeats, sizes.clicks)
        for _ in seg.stream(moving(picture, WARM_UP)):
            pass
        start = time.perf_counter()
        frames_read = sum(1 for _ in seg.stream(moving(picture, sizes.frames)))
        calls["stream"] = {"frames_per_second": frames_read / (time.perf_counter() - start)}
        found[name] = calls
    return found


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", type=torch.device, help="default: the accelerator of this machine")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that everything runs")
    parser.add_argument("--repeats", type=int, help="measured runs (default 10; with --quick 1)")
    parser.add_argument(
        "--compile",
        action=argparse.BooleanOptionalAction,
        help="measure the model with torch.compile, too (default: on a GPU)",
    )
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")


def run(args: argparse.Namespace) -> int:
    """Returns 0, or 2 where there is no accelerator and no other device was named."""
    device = args.device or torch.accelerator.current_accelerator()
    if device is None:
        print("there is no GPU here; --device cpu --quick shows that everything runs", file=sys.stderr)
        return 2
    sizes = QUICK if args.quick else DeviceSizes()
    repeats = args.repeats or (1 if args.quick else 10)
    compiled = args.compile if args.compile is not None else device.type != "cpu"
    config = read_config(str(sizes.config))
    model = frames.read_model(sizes.config).to(device)
    result: dict[str, Any] = {
        "environment": {**environment(), "device": name_of(device)},
        "compiled_operators": has_compiled_ops(),
        "repeats": repeats,
        "sizes": {**asdict(sizes), "config": sizes.config.stem},
        "readouts": measure_readouts(sizes, device, repeats),
        "head": measure_head(sizes, device, repeats),
        "training": measure_training(model, sizes, device, repeats),
        "calls": measure_calls(model, config, sizes, repeats),
        "model": measure_model(model, sizes, repeats, compiled),  # last, as it compiles the model
    }
    print("\n" + "\n".join(device_tables(result)))
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + "\n")
    return 0


def name_of(device: torch.device) -> str:
    """The name of a device."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else environment()["device"]


def device_tables(result: dict[str, Any]) -> Iterator[str]:
    """Lines to print."""
    yield f"{result['environment']['device']}, torch {result['environment']['torch']}"
    rows = [
        (
            name,
            _milliseconds(found["trunk_seconds"]),
            _milliseconds(found["whole_seconds"]),
            f"{found['whole_of_trunk']:.2f}",
            _mebibytes(found["peak_bytes"]),
        )
        for name, found in result["model"].items()
    ]
    header = ("model", "trunk", "whole", f"whole / trunk (wanted {TRUNK_TARGET})", "peak MiB")
    yield markdown_table(header, rows, right=(1, 2, 3, 4))
    rows = [
        (
            name,
            _milliseconds(found["ours_seconds"]),
            _milliseconds(found["mmdet_seconds"]),
            f"{found['speedup']:.1f}x",
            f"{_mebibytes(found['ours_peak_bytes'])}, {_mebibytes(found['mmdet_peak_bytes'])}",
        )
        for name, found in result["head"].items()
    ]
    yield ""
    yield markdown_table(("head", "ours", "mmdet's", "faster", "peak MiB"), rows, right=(1, 2, 3, 4))
    rows = [
        (f"{what}, {name}", _milliseconds(found["seconds"]), _mebibytes(found["peak_bytes"]))
        for key, what in (("readouts", "read-out"), ("training", "training step"))
        for name, found in result[key].items()
    ]
    yield ""
    yield markdown_table(("part", "time", "peak MiB"), rows, right=(1, 2))
    rows = [
        (
            name,
            _milliseconds(calls["image"]["seconds"]),
            _milliseconds(calls["set_image"]["seconds"]),
            f"{calls['click']['milliseconds']:.1f} ms",
            f"{calls['stream']['frames_per_second']:.1f}",
        )
        for name, calls in result["calls"].items()
    ]
    yield ""
    header = ("calls", "image", "set_image", "click", "stream, frames a second")
    yield markdown_table(header, rows, right=(1, 2, 3, 4))


def _milliseconds(seconds: float) -> str:
    return f"{1e3 * seconds:.1f} ms"


def _mebibytes(count: int) -> str:
    return f"{count / 2**20:.0f}"
