"""Show what a model is: parameters, operations and memory by part, its words, and its test sizes.

examples:
  omgseg info work_dirs/demo/train                                     the folder of a training
  omgseg info configs/omg_coco_vipseg_ytvis.py                         no weights are needed
  omgseg info configs/omg_coco_vipseg_ytvis.py --size 1200x800 --classes 133
  omgseg info CONFIG --weights omg_seg.safetensors                     also the words of its training

Operations are those of one image of that size: a multiplication and an addition are two. Papers, that of OMG-Seg
among them, often call the pair one "FLOP"; that number is shown, too."""

from __future__ import annotations

import argparse
import logging
import re
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omgseg.cli.arguments import NONE, log_to_stderr
from omgseg.cli.status import OK, UsageError, user_errors

if TYPE_CHECKING:
    from omgseg.benchmark.model_cost import PartCost
    from omgseg.structures import Vocabulary

DEFAULT_CLASSES = 133
"""Those of COCO panoptic, where the words are not known."""
_MIB = 2**20
_ADAM_BYTES = 12
"""Of a trainable float32 parameter: gradient and two moments."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", metavar="RUN|CONFIG", help="folder of a training, or a config file")
    parser.add_argument("--weights", metavar="FILE", help="to read the words of the training from")
    parser.add_argument("--size", metavar="WxH", help="of the image; default: the config's test size")
    parser.add_argument(
        "--classes", type=int, metavar="N", help="number of words; default: those of the training"
    )


def run(args: argparse.Namespace) -> int:
    size = None if args.size is None else _parse_size(args.size)
    if args.classes is not None and args.classes < 1:
        raise UsageError(f"--classes {args.classes} is not positive")
    if not Path(args.config).exists():
        raise UsageError(f"{args.config} not found; give the folder of a training, or a config file")
    with user_errors():
        from omgseg.benchmark.model_cost import model_cost
        from omgseg.inference.building import test_resize
        from omgseg.inference.loading import checkpoint_words, read_config
        from omgseg.inference.loading import locate_model as locate_run

        log_to_stderr(logging.ERROR)  # that no weights are loaded is no news here
        config_file, weights = locate_run(args.config, None if args.weights == NONE else args.weights)
        config = read_config(config_file)
        words = None if weights is None else checkpoint_words(weights)
        width, height = size or test_resize(config).scale
        classes = args.classes or (len(words) if words else DEFAULT_CLASSES)
        parts = model_cost(config.model, (height, width), classes)
    print(f"config   {config_file}")
    print(f"weights  {weights or 'none given'}\n")
    _print_parts(parts, (width, height), classes)
    print()
    _print_memory(parts)
    print()
    _print_sizes(config)
    print()
    _print_words(words)
    return OK


def _parse_size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if match is None or "0" in match.groups():
        raise UsageError(f"--size {text} is not WIDTHxHEIGHT, for example 1200x800")
    return int(match[1]), int(match[2])


def _print_parts(parts: list[PartCost], size: tuple[int, int], classes: int) -> None:
    print(f"one image of {size[0]}x{size[1]} pixels (width x height), {classes} classes:")
    print(f"  {'part':<16}{'parameters':>12}{'trainable':>12}{'GFLOPs':>10}{'activations':>13}")
    for part in parts:
        print(
            f"  {part.name:<16}{_millions(part.parameters):>12}{_millions(part.trainable):>12}"
            f"{part.flops / 1e9:>10.1f}{part.peak_bytes / _MIB:>9.0f} MiB"
        )
    flops = sum(part.flops for part in parts)
    print(
        f"  {'all':<16}{_millions(sum(p.parameters for p in parts)):>12}"
        f"{_millions(sum(p.trainable for p in parts)):>12}{flops / 1e9:>10.1f}"
    )
    print(f"  {flops / 2e9:.1f} G multiply-additions; matrix products, convolutions and attention count")


def _print_memory(parts: list[PartCost]) -> None:
    weights = 4 * sum(part.parameters for part in parts) / _MIB
    peak = max(part.peak_bytes for part in parts) / _MIB
    training = _ADAM_BYTES * sum(part.trainable for part in parts) / _MIB
    print("memory (estimate, float32; libraries and buffers of the device come on top):")
    print(f"  prediction  {weights:.0f} MiB of weights + {peak:.0f} MiB of activations")
    print(
        f"  training    {weights:.0f} MiB + {training:.0f} MiB of gradients and AdamW's state + the batch's activations"
    )


def _print_sizes(config: Any) -> None:
    from omgseg.inference.building import test_resize

    width, height = test_resize(config).scale
    test = config.model.get("test_cfg") or {}
    print("test sizes:")
    print(f"  images are resized to fit {width}x{height}")
    if "clip_size" in test:
        print(f"  videos are read in clips of {test['clip_size']} frames")


def _print_words(words: Vocabulary | None) -> None:
    if words is None:
        print("words: not known here (no weights, or they hold none); any can be given with --vocabulary")
        return
    print(
        f"words of the training ({words.num_things} things, {words.num_stuff} stuff); any others can be given:"
    )
    for kind, is_thing in (("things", True), ("stuff", False)):
        names = ", ".join(category.name for category in words if category.is_thing == is_thing)
        print(textwrap.fill(f"{kind}: {names or 'none'}", 100, initial_indent="  ", subsequent_indent="    "))


def _millions(number: int) -> str:
    return f"{number / 1e6:.2f} M"
