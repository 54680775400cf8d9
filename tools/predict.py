"""Segment images and videos with a trained model: pictures to look at, and files to compute with.

An input is an image file, or a folder whose images are the frames of one video.

Examples:
    python tools/predict.py CONFIG CHECKPOINT street.jpg beach.jpg --words car person --stuff road sky
    python tools/predict.py CONFIG CHECKPOINT frames/ --task video-panoptic --vocabulary coco_panoptic
    python tools/predict.py CONFIG CHECKPOINT street.jpg --task interactive --points 320,200 60,75
    python tools/predict.py CONFIG CHECKPOINT frames/ --task vos --first-mask objects.png
    python tools/predict.py CONFIG none street.jpg --words car    # random weights: does it run?

Written to --out-dir: pictures/<task>/<name>.png (of a video one a frame, and a GIF), and, by task, panoptic.json with
panoptic/*.png (COCO panoptic), instances.json (COCO), tracks.json (YouTube-VIS), prompts.json, semantic/*.png,
vos/*.png, vocabulary.json. See omgseg.apis.ResultFiles for what is in them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import DictAction

from omgseg.apis import OMGSegInferencer, ResultFiles, list_files, read_input, to_vocabulary, write_pictures
from omgseg.apis.building import read_config
from omgseg.engine import merge_options
from omgseg.structures import Task, Vocabulary

VIDEO_PREFIX = "video-"
TASKS = [task.value for task in Task]
VIDEO_TASKS = [VIDEO_PREFIX + task for task in ("panoptic", "instance", "semantic")]


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", help="config file")
    parser.add_argument("checkpoint", help="weights, or 'none' for random ones")
    parser.add_argument("inputs", nargs="+", metavar="INPUT", help="image file, or folder of video frames")
    parser.add_argument(
        "--out-dir",
        type=Path,
        default=Path("work_dirs/predictions"),
        help="folder of the results; default: %(default)s",
    )
    parser.add_argument(
        "--task",
        nargs="+",
        default=["panoptic"],
        choices=TASKS + VIDEO_TASKS,
        metavar="TASK",
        help=f"{', '.join(TASKS + VIDEO_TASKS)}; video-* takes folders only. Default: panoptic",
    )
    parser.add_argument("--words", nargs="+", help="things to find; default: the words of the training")
    parser.add_argument("--stuff", nargs="+", default=[], metavar="WORD", help="words for what has no count")
    parser.add_argument("--vocabulary", help="a JSON file, or a shipped name like coco_panoptic")
    parser.add_argument("--points", nargs="+", type=_numbers(2), metavar="X,Y", help="clicks, in pixels")
    parser.add_argument("--boxes", nargs="+", type=_numbers(4), metavar="X1,Y1,X2,Y2", help="in pixels")
    parser.add_argument("--first-mask", metavar="PNG", help="objects of the first frame, for the task vos")
    parser.add_argument("--min-score", type=float, default=0.3, help="instances below are not drawn")
    parser.add_argument("--device", help="default: the accelerator if there is one")
    parser.add_argument("--cfg-options", nargs="+", action=DictAction, default={}, help="key=value ...")
    args = parser.parse_args(argv)
    if args.words and args.vocabulary:
        parser.error("--words and --vocabulary both name the things; give one of them")
    return args


def _numbers(count: int):
    def parse(text: str) -> tuple[float, ...]:
        values = tuple(float(part) for part in text.split(","))
        if len(values) != count:
            raise ValueError
        return values

    parse.__name__ = f"{count} numbers with commas"  # argparse shows it: "invalid ... value"
    return parse


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0, or 1 with one line on standard error that says what is wrong."""
    args = parse_args(argv)
    try:
        predict(args)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def predict(args: argparse.Namespace) -> None:
    """Predict all inputs, one after the other.

    Raises:
        OSError, ValueError: an argument or a file is wrong; what was predicted before is written.
    """
    _check_inputs(args.inputs, args.task)
    tasks = [task.removeprefix(VIDEO_PREFIX) for task in args.task]
    words = to_vocabulary(args.words or args.vocabulary, args.stuff)
    config = read_config(args.config)
    merge_options(config, args.cfg_options)
    checkpoint = None if args.checkpoint.lower() == "none" else args.checkpoint
    seg = OMGSegInferencer(config, checkpoint, words, device=args.device)
    vocabulary = seg.vocabulary or Vocabulary()
    results = ResultFiles(args.out_dir, vocabulary)
    names: set[str] = set()
    try:
        for source in args.inputs:
            clip = read_input(source)
            sample = seg(clip, tasks, points=args.points, boxes=args.boxes, first_mask=args.first_mask)
            name = _unique(clip.name, names)
            results.add(name, clip, sample)
            pictures = write_pictures(
                args.out_dir / "pictures", name, clip, sample, vocabulary, args.min_score
            )
            print(f"{source}: {len(clip.frames)} frame(s) -> {pictures[-1]}")
    finally:
        if names:
            results.finish()
            print(f"{len(names)} of {len(args.inputs)} inputs predicted, results in {args.out_dir}")


def _check_inputs(sources: Sequence[str], tasks: Sequence[str]) -> None:
    """Find what is missing before a model is built."""
    for source in sources:
        list_files(source)
        for task in tasks:
            if task.startswith(VIDEO_PREFIX) and not Path(source).is_dir():
                raise ValueError(f"{source} is no folder of frames, which the task {task} takes")


def _unique(name: str, used: set[str]) -> str:
    """`name`, or with a number behind it where inputs of several folders have one name."""
    number, unique = 1, name
    while unique in used:
        number += 1
        unique = f"{name}_{number}"
    used.add(unique)
    return unique


if __name__ == "__main__":
    sys.exit(main())
