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
        "--model",
        "--run",
        "--config",
        dest="config",
        metavar="NAME|RUN|CONFIG",
        help="a name of `omgseg models`; the folder of a training, whose newest weights are used; or a config file, "
        f"with --weights. Default: ${CONFIG_VARIABLE}",
    )
    group.add_argument(
        "--weights",
        metavar="FILE",
        help="weights, also hf://owner/repository/file; 'none': random ones, to try whether all works. "
        f"Default: those of the name, the run's newest, or ${WEIGHTS_VARIABLE} with ${CONFIG_VARIABLE}",
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
    if not config:
        raise UsageError(
            "no model: give --model NAME (`omgseg models` lists them), --run FOLDER of a training (`make demo` writes "
            f"work_dirs/demo/train), or --config FILE --weights FILE; ${CONFIG_VARIABLE} and ${WEIGHTS_VARIABLE} are "
            "used where they are set"
        )
    return locate(config, weights)


def locate(config: str, weights: str | None, needs_weights: bool = True) -> tuple[str, str | None]:
    """The config file and the weights of a name, of the folder of a training, or of a config file.

    Args:
        weights: None: the model's own; "none": random ones.
        needs_weights: whether a config file alone is refused.

    Raises:
        UsageError: something is not there.
    """
    path = Path(config).expanduser()
    if needs_weights and weights is None and path.is_file():
        raise UsageError(f"{path} is a config, which needs --weights FILE (or --weights {NONE}: random ones)")
    if weights not in (None, NONE, "random") and "://" not in weights:
        if not Path(weights).expanduser().is_file():
            raise UsageError(f"--weights {weights} not found")
    try:
        with user_errors():
            from omgseg.inference.loading import RANDOM, locate_model

            log_to_stderr()
            file, found = locate_model(str(path), RANDOM if weights == NONE else weights)
    except UsageError as error:  # says how Python gives them
        raise UsageError(str(error).replace("weights=", "--weights ")) from error
    return str(file), None if found is None else str(found)


def load_model(config: str, weights: str | None, args: argparse.Namespace) -> OMGSegInferencer:
    """Load what :func:`locate` found.

    Raises:
        UsageError: config, weights or device cannot be used.
    """
    with user_errors():
        from omgseg.inference import OMGSegInferencer

        return OMGSegInferencer(config, weights, device=args.device, dtype=args.dtype)


def build_inferencer(args: argparse.Namespace) -> OMGSegInferencer:
    """The model of the arguments.

    Raises:
        UsageError: config, weights or device cannot be used.
    """
    return load_model(*model_files(args), args)


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
