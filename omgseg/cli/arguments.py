"""Arguments that several commands share: which model, which words."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from omgseg.cli.status import UsageError, user_errors

if TYPE_CHECKING:
    from omgseg.inference import OMGSegInferencer
    from omgseg.structures import Vocabulary

CONFIG_VARIABLE = "OMGSEG_CONFIG"
WEIGHTS_VARIABLE = "OMGSEG_WEIGHTS"
NONE = "none"
NO_WORDS = 'the weights hold no words of a training; give some, e.g. --vocabulary "dog, car"'


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("model")
    group.add_argument(
        "--run",
        "--config",
        dest="config",
        metavar="RUN|CONFIG",
        help="folder of a training, whose newest weights are used; or a config file, with --weights. "
        f"Default: ${CONFIG_VARIABLE}",
    )
    group.add_argument(
        "--weights",
        metavar="FILE",
        help="weights, also hf://owner/repository/file; 'none': random ones, to try whether all works. "
        f"Default: the run's newest, or ${WEIGHTS_VARIABLE} with ${CONFIG_VARIABLE}",
    )
    group.add_argument(
        "--device", default="auto", help="cpu, cuda:1, ...; default: the accelerator if there is one"
    )
    group.add_argument(
        "--dtype",
        default="auto",
        choices=("auto", "float32", "bfloat16"),
        help="numbers to compute with; default: what the device is fast with",
    )


def add_word_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("words")
    group.add_argument(
        "--vocabulary",
        nargs="+",
        metavar="WORDS",
        help='things to find: "dog, red kite", a JSON file, or a known list (coco, ade20k, lvis, cityscapes, vipseg, '
        "...). Default: the words of the training",
    )
    group.add_argument(
        "--stuff", nargs="+", default=[], metavar="WORDS", help='what has no count: "sky, grass"'
    )
    group.add_argument(
        "--background",
        nargs="+",
        metavar="WORDS",
        help="words that compete with yours and are not reported, so that other things are not taken for yours; "
        "'none': no such words. Default: the words of the training and a few common ones",
    )


def check_limits(args: argparse.Namespace) -> None:
    """Check the least score, which may be None, and the size of batches.

    Raises:
        UsageError: one of them is out of its range.
    """
    if args.min_score is not None and not 0 <= args.min_score <= 1:
        raise UsageError(f"--min-score {args.min_score:g} is not between 0 and 1")
    if args.batch_size < 1:
        raise UsageError(f"--batch-size {args.batch_size} is not positive")


def model_files(args: argparse.Namespace) -> tuple[str, str | None]:
    """The config file and the weights; None stands for random ones.

    Raises:
        UsageError: there is no model; says how to give one.
    """
    config, weights = args.config, args.weights
    if config is None:
        config = os.environ.get(CONFIG_VARIABLE)
        weights = weights or os.environ.get(WEIGHTS_VARIABLE)
    if config is None:
        raise UsageError(
            "no model: give --run FOLDER of a training (`make demo` writes work_dirs/demo/train), or --config FILE "
            f"--weights FILE; ${CONFIG_VARIABLE} and ${WEIGHTS_VARIABLE} are used where they are set"
        )
    path = Path(config).expanduser()
    if not path.exists():
        raise UsageError(f"{path} not found; --run is the folder of a training, --config a config file")
    if weights is None and path.is_file():
        raise UsageError(f"{path} is a config, which needs --weights FILE (or --weights {NONE}: random ones)")
    with user_errors():
        from omgseg.inference.loading import locate_model as locate_run

        log_to_stderr()
        file, found = locate_run(path, weights)
    return str(file), None if weights == NONE else str(found)


def build_inferencer(args: argparse.Namespace) -> OMGSegInferencer:
    """The model of the arguments.

    Raises:
        UsageError: config, weights or device cannot be used.
    """
    config, weights = model_files(args)
    with user_errors():
        from omgseg.inference import OMGSegInferencer

        return OMGSegInferencer(config, weights, device=args.device, dtype=args.dtype)


def log_to_stderr(level: int = logging.WARNING) -> None:
    """What the libraries say from this level on goes where errors go: standard output is for results."""
    from mmengine.logging import MMLogger

    logger = MMLogger.get_current_instance()
    logger.setLevel(level)
    for handler in logger.handlers:
        if type(handler) is logging.StreamHandler:
            handler.stream = sys.stderr  # setStream would flush the old one, which may be closed


def split_words(values: list[str]) -> list[str]:
    """["dog, red kite", "car"] -> ["dog", "red kite", "car"]."""
    return [word.strip() for value in values for word in value.split(",") if word.strip()]


def vocabulary_of(args: argparse.Namespace) -> Vocabulary | None:
    """The words of the arguments; None: those of the training.

    One value that is a JSON file or a known list is that, everything else are words.

    Raises:
        UsageError: a file is no vocabulary, or a word occurs twice.
    """
    with user_errors():
        from omgseg.inference.words import to_vocabulary

        stuff = split_words(args.stuff)
        words = args.vocabulary
        if words is None:
            return to_vocabulary(None, stuff)
        if len(words) == 1 and _is_name(words[0]):
            return to_vocabulary(words[0], stuff)
        return to_vocabulary(split_words(words), stuff)


def background_of(args: argparse.Namespace) -> list[str] | None:
    """The background words of the arguments; None: the inferencer's own choice.

    Raises:
        UsageError: an empty list.
    """
    if args.background is None or args.background == [NONE]:
        return None if args.background is None else []
    words = split_words(args.background)
    if not words:
        raise UsageError("--background has no words; 'none' switches it off")
    return words


def _is_name(word: str) -> bool:
    from omgseg.datasets.vocabularies import shipped_vocabularies
    from omgseg.inference.words import SHORT_NAMES

    return word.endswith(".json") or word.lower() in SHORT_NAMES or word in shipped_vocabularies()
