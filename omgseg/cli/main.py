"""The parser of `omgseg`, and the exit status of errors.

Heavy packages are imported only when a command runs, so that `--help` is fast.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

import omgseg
from omgseg.cli import check, compare, export, info, label, models, predict, samples, web
from omgseg.cli.status import INTERRUPTED, OK, SOME_FAILED, USAGE, UsageError, one_line

COMMANDS = {
    "predict": predict,
    "label": label,
    "compare": compare,
    "export": export,
    "models": models,
    "info": info,
    "check": check,
    "samples": samples,
    "web": web,
}
DESCRIPTION = """\
Segment images and videos by words, clicks or tracking, with many models.

  omgseg predict photo.jpg --run work_dirs/demo/train              a picture with its segments
  omgseg predict film.mp4 --run RUN --vocabulary "dog, red kite"   a video, with your own words
  omgseg label photos/ --out coco.json --run RUN                   annotations for a folder of images
  omgseg compare RUN NAME --images photos/ --out compared          several models side by side, with time and memory
  omgseg web --run RUN                                             the same in the browser
  omgseg export --run RUN --out onnx                               the model as ONNX, for programs without PyTorch
  omgseg models                                                    the models that have a name
  omgseg info RUN                                                  abilities, cost and words of a model
  omgseg check                                                     what is installed on this machine
  omgseg samples .                                                 sample images and a video to begin with

RUN is the work folder of a training (`make demo` writes work_dirs/demo/train), NAME one of `omgseg models`.
`omgseg COMMAND --help` shows examples."""
EPILOG = """\
exit status:
  0  success
  1  some inputs failed, or the disk is full; the others are done; each failure is a line on standard error
  2  nothing was started: the command line, a config, weights or words are wrong, or the model does not offer this
  130  interrupted"""


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="omgseg",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"omgseg {omgseg.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", title="commands")
    for name, module in COMMANDS.items():
        description = (module.__doc__ or "").strip()
        command = commands.add_parser(
            name,
            help=description.splitlines()[0].rstrip("."),
            description=description,
            epilog=EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Returns:
        The exit status, see `omgseg --help`. Mistakes in the command give one line on standard error.
    """
    args = build_parser().parse_args(argv)
    try:
        return args.run(args)
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # `omgseg info ... | head`; the interpreter must not try to flush again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except OSError as error:  # the disk is full, or a file cannot be written
        print(f"error: {one_line(error)}; what was finished before is kept", file=sys.stderr)
        return SOME_FAILED
