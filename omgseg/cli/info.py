"""Show the abilities, words, sizes and cost of a model.

examples:
  omgseg info NAME                                                     a name of `omgseg models`
  omgseg info work_dirs/demo/train                                     the folder of a training
  omgseg info configs/omg_coco_vipseg_ytvis.py                         no weights are needed
  omgseg info configs/omg_coco_vipseg_ytvis.py --size 1200x800 --classes 133
  omgseg info CONFIG --weights omg_seg.safetensors                     also the words of its training

GFLOPs are those of one image: a multiplication and an addition count as two operations. Many papers, such as that of
OMG-Seg, count the pair as one "FLOP"; this number (multiply-additions) is printed, too."""

from __future__ import annotations

import argparse
import logging
import re
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omgseg.cli.arguments import NONE, locate, log_to_stderr
from omgseg.cli.status import OK, UsageError, one_line, user_errors

if TYPE_CHECKING:
    from omgseg.engine.model_cost import PartCost
    from omgseg.structures import Vocabulary

DEFAULT_CLASSES = 133
"""Those of COCO panoptic, for models whose words are not known."""
DEFAULT_SIZE = (1024, 1024)
"""For models that do not resize images."""
MAX_PIXELS = 50_000_000
_MIB = 2**20
_ADAM_BYTES = 12
"""Bytes per trainable float32 parameter: gradient and two moments."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "config", metavar="NAME|RUN|CONFIG", help="a name, the work folder of a training, or a config file"
    )
    parser.add_argument(
        "--weights", metavar="FILE", help="file of weights to read the words of the training from"
    )
    parser.add_argument("--size", metavar="WxH", help="image size in pixels; default: the config's test size")
    parser.add_argument(
        "--classes", type=int, metavar="N", help="number of words; default: those of the training"
    )


def run(args: argparse.Namespace) -> int:
    size = None if args.size is None else _parse_size(args.size)
    if args.classes is not None and args.classes < 1:
        raise UsageError(f"--classes {args.classes} must be at least 1")
    config_file, weights = _locate(args)
    with user_errors():
        from omgseg.inference.loading import checkpoint_words, load_abilities, read_config

        log_to_stderr(logging.ERROR)  # no warning about random weights
        config = read_config(config_file)
        model = load_abilities(config)
        words = model.abilities.vocabulary
        if weights is not None and Path(weights).is_file():
            words = checkpoint_words(weights) or words
    print(f"config   {config_file}")
    print(f"weights  {weights or 'none'}\n")
    _print_abilities(model)
    print()
    _print_words(words, model.abilities.open_vocabulary)
    print()
    classes = args.classes or (len(words) if words else DEFAULT_CLASSES)
    size = size or model.abilities.test_size or DEFAULT_SIZE
    parts, reason = _cost(config, size, classes)
    if parts is None:
        print(f"cost: cannot be measured ({reason})")
        return OK
    asked = f"{classes} classes" if words or model.abilities.open_vocabulary else "one point"
    _print_parts(parts, size, asked)
    print()
    _print_memory(parts)
    return OK


def _locate(args: argparse.Namespace) -> tuple[str, str | None]:
    """Config and weights; without weights for a name whose weights are not on this machine."""
    try:
        return locate(args.config, args.weights, needs_weights=False)
    except UsageError:
        if args.weights is not None or Path(args.config).expanduser().exists():
            raise
        return locate(args.config, NONE)[0], None


def _cost(config: Any, size: tuple[int, int], classes: int) -> tuple[list[PartCost] | None, str]:
    """The cost of each part of a model; or None and the reason why the parts cannot be measured.

    Args:
        config: the config of the model.
        size: (width, height) of the image in pixels.
        classes: number of words.
    """
    if "model" not in config:
        return None, "the config has no key 'model', only a segmenter"
    try:
        from omgseg.engine.model_cost import model_cost

        return model_cost(config.model, size[::-1], classes), ""
    except (AttributeError, KeyError, TypeError, RuntimeError, NotImplementedError) as error:
        kind = config.model.get("type")
        return None, f"the parts of a {kind!r} cannot be measured: {one_line(error)[:100]}"


def _parse_size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if match is None or "0" in match.groups():
        raise UsageError(f"--size {text} must be WIDTHxHEIGHT, for example 1200x800")
    width, height = int(match[1]), int(match[2])
    if width * height > MAX_PIXELS:
        raise UsageError(f"--size {text} has more than {MAX_PIXELS / 1e6:.0f} million pixels")
    return width, height


def _print_parts(parts: list[PartCost], size: tuple[int, int], asked: str) -> None:
    print(f"one image of {size[0]}x{size[1]} pixels (width x height), {asked}:")
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
    print("memory (estimate for float32, without libraries and buffers of the device):")
    print(f"  prediction  {weights:.0f} MiB of weights + {peak:.0f} MiB of activations")
    print(
        f"  training    {weights:.0f} MiB + {training:.0f} MiB of gradients and AdamW's state + the batch's activations"
    )


def _print_abilities(model: Any) -> None:
    """Print what the model's abilities and protocols state."""
    from omgseg.inference.abilities import abilities_of
    from omgseg.protocols import (
        PROMPT_KINDS,
        Exportable,
        MaskNamer,
        Proposer,
        TrackingModel,
        VideoModel,
    )
    from omgseg.structures import Task

    abilities = abilities_of(model)
    prompts = [kind for kind in PROMPT_KINDS if kind in abilities.prompts]
    size = "as they are" if abilities.test_size is None else "to fit {}x{}".format(*abilities.test_size)
    videos = "frame by frame, ids by mask overlap"
    if isinstance(model, VideoModel):
        videos = f"yes, in clips of {model.clip_size} frames"
    rows = {
        "tasks": ", ".join(task.value for task in Task if task in abilities.tasks) or "none",
        "prompts": ", ".join(prompts) if Task.INTERACTIVE in abilities.tasks else "none",
        "words": "any" if abilities.open_vocabulary else "fixed" if abilities.vocabulary else "none",
        "videos": videos,
        "tracking": _yes(isinstance(model, TrackingModel), "follows given objects through a video"),
        "everything": _yes(isinstance(model, Proposer), "finds all masks without prompts"),
        "names": _yes(isinstance(model, MaskNamer), "names masks"),
        "example": _yes(abilities.needs_example, "needs an example image and its mask"),
        "export": _yes(isinstance(model, Exportable), "can be written as ONNX (omgseg export)"),
        "test size": f"images are resized {size}" if abilities.test_size else f"images are taken {size}",
    }
    print("abilities:")
    for name, value in rows.items():
        print(f"  {name:<12}{value}")


def _yes(can: bool, what: str) -> str:
    return f"yes: {what}" if can else "no"


def _print_words(words: Vocabulary | None, is_open: bool) -> None:
    hint = "; any words can be given with --vocabulary" if is_open else ""
    if words is None:
        print(f"words: {'unknown (no weights, or weights without words)' if is_open else 'none'}{hint}")
        return
    print(f"words of the training ({words.num_things} things, {words.num_stuff} stuff){hint}:")
    for kind, is_thing in (("things", True), ("stuff", False)):
        names = ", ".join(category.name for category in words if category.is_thing == is_thing)
        print(textwrap.fill(f"{kind}: {names or 'none'}", 100, initial_indent="  ", subsequent_indent="    "))


def _millions(number: int) -> str:
    return f"{number / 1e6:.2f} M"
