"""Arguments that several commands share: the model and the words."""

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
NO_WORDS = 'the weights do not hold the words of a training; give some, e.g. --vocabulary "dog, car"'


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """The model, and where and how it computes."""
    add_computing_arguments(add_model_files(parser))


def add_computing_arguments(group: argparse._ArgumentGroup) -> None:
    """Where and how a model computes."""
    group.add_argument(
        "--device", default="auto", help="cpu, cuda:1, ...; default: the accelerator if there is one"
    )
    group.add_argument(
        "--dtype",
        default="auto",
        choices=("auto", "float32", "bfloat16"),
        help="precision; default: bfloat16 on accelerators that support it, else float32",
    )


def add_model_files(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """The model alone, for :func:`model_files`; returns the group of its arguments."""
    group = parser.add_argument_group("model")
    group.add_argument(
        "--model",
        "--run",
        "--config",
        dest="config",
        metavar="NAME|RUN|CONFIG",
        help="a name of `omgseg models`; the work folder of a training, whose newest weights are used; a config file, "
        "with --weights; or a guest: hf:owner/name of the Hugging Face hub, or a folder with its files. "
        f"Default: ${CONFIG_VARIABLE}",
    )
    group.add_argument(
        "--weights",
        metavar="FILE",
        help="file of weights, or hf://owner/repository/file; hf:owner/name downloads a guest; 'none': random weights, "
        "for a first test. "
        f"Default: those of the name, the run's newest, or ${WEIGHTS_VARIABLE} with ${CONFIG_VARIABLE}",
    )
    return group


def add_word_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("words")
    group.add_argument(
        "--vocabulary",
        nargs="+",
        metavar="WORDS",
        help='things to find: "dog, red kite", a file (.json, or .txt with one a line), or a known list (coco, ade20k, '
        "lvis, cityscapes, vipseg, ...). Default: the words of the training",
    )
    group.add_argument(
        "--stuff", nargs="+", default=[], metavar="WORDS", help='stuff, which is not counted: "sky, grass"'
    )
    group.add_argument(
        "--background",
        nargs="+",
        metavar="WORDS",
        help="words that compete with yours and are not reported, so that other objects do not get your words; "
        "'none': no background words. Default: the words of the training and a few common ones",
    )


def check_limits(args: argparse.Namespace) -> None:
    """Check --min-score, which may be None, and --batch-size.

    Raises:
        UsageError: one of them is out of range.
    """
    check_share("--min-score", args.min_score)
    if args.batch_size < 1:
        raise UsageError(f"--batch-size {args.batch_size} must be at least 1")


def check_example(args: argparse.Namespace) -> None:
    """Check the files of --example.

    Raises:
        UsageError: one of them is missing.
    """
    for file in args.example or ():
        if not Path(file).is_file():
            raise UsageError(f"--example {file} not found")


def check_share(option: str, value: float | None) -> None:
    """Raises UsageError unless the value of an option is None or in 0..1."""
    if value is not None and not 0 <= value <= 1:
        raise UsageError(f"{option} {value:g} must be between 0 and 1")


def model_files(args: argparse.Namespace) -> tuple[str, str | None]:
    """The config file and the weights, None for random ones.

    Raises:
        UsageError: no model is given; the message says how to give one.
    """
    config, weights = args.config, args.weights
    if config is None:
        config = os.environ.get(CONFIG_VARIABLE)
        weights = weights or os.environ.get(WEIGHTS_VARIABLE)
    if not config:
        raise UsageError(
            "no model: give --model NAME (`omgseg models` lists the names), --run FOLDER (the work folder of a "
            "training; `make demo` writes work_dirs/demo/train), or --config FILE --weights FILE; or set "
            f"${CONFIG_VARIABLE} and ${WEIGHTS_VARIABLE}"
        )
    return locate(config, weights)


def locate(config: str, weights: str | None, needs_weights: bool = True) -> tuple[str, str | None]:
    """The config file and the weights of a name, a work folder of a training, or a config file.

    Args:
        config: the name, folder or file.
        weights: None: those of the name or folder, or that the config's segmenter names (`pretrained`); "none": random
            ones.
        needs_weights: whether to refuse a config file without weights.

    Raises:
        UsageError: the config or the weights do not exist.
    """
    path = Path(config).expanduser()
    if needs_weights and weights is None and path.is_file() and not _names_weights(path):
        raise UsageError(f"{path} is a config: give --weights FILE, or --weights {NONE} for random ones")
    if weights not in (None, NONE, "random") and not weights.startswith("hf:") and "://" not in weights:
        if not Path(weights).expanduser().exists():
            raise UsageError(f"--weights {weights} not found")
    try:
        with user_errors():
            from omgseg.inference.loading import RANDOM, locate_model

            log_to_stderr()
            file, located = locate_model(str(path), RANDOM if weights == NONE else weights)
    except UsageError as error:  # the message names the argument of Python
        raise UsageError(str(error).replace("weights=", "--weights ")) from error
    if weights in (NONE, RANDOM):
        return str(file), RANDOM
    return str(file), None if located is None else str(located)


def _names_weights(file: Path) -> bool:
    """Whether the segmenter of a config names weights of its own, such as those of a CLIP.

    Raises:
        UsageError: the config cannot be read.
    """
    with user_errors():
        from omgseg.inference.loading import read_config

        return bool((read_config(file).get("segmenter") or {}).get("pretrained"))


def load_model(config: str, weights: str | None, args: argparse.Namespace) -> OMGSegInferencer:
    """Load what :func:`locate` found.

    Raises:
        UsageError: config, weights or device cannot be used.
    """
    with user_errors():
        from omgseg.inference import OMGSegInferencer

        return OMGSegInferencer(config, weights, device=args.device, dtype=args.dtype)


def build_inferencer(args: argparse.Namespace) -> OMGSegInferencer:
    """Load the model of the arguments.

    Raises:
        UsageError: config, weights or device cannot be used.
    """
    return load_model(*model_files(args), args)


def log_to_stderr(level: int = logging.WARNING) -> None:
    """Send log messages of this level and above to standard error; standard output is for results."""
    from mmengine.logging import MMLogger

    logger = MMLogger.get_current_instance()
    logger.setLevel(level)
    for handler in logger.handlers:
        if type(handler) is logging.StreamHandler:
            handler.stream = sys.stderr  # setStream would flush the old stream, which may be closed


def split_words(values: list[str]) -> list[str]:
    """["dog, red kite", "car"] -> ["dog", "red kite", "car"]."""
    return [word.strip() for value in values for word in value.split(",") if word.strip()]


def vocabulary_of(args: argparse.Namespace) -> Vocabulary | None:
    """The words of the arguments; None: those of the training.

    A single value that is a file (.json, .txt) or the name of a known list is read as such; all other values are words.

    Raises:
        UsageError: the file is not a vocabulary, or a word occurs twice.
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
        UsageError: there are no words.
    """
    if args.background is None:
        return None
    if args.background == [NONE]:
        return []
    words = split_words(args.background)
    if not words:
        raise UsageError("--background has no words; for no background give --background none")
    return words


def _is_name(word: str) -> bool:
    from omgseg.datasets.vocabularies import shipped_vocabularies
    from omgseg.inference.words import SHORT_NAMES

    return word.endswith((".json", ".txt")) or word.lower() in SHORT_NAMES or word in shipped_vocabularies()
