"""Open a web page: segment images and videos, and click on objects, in the browser.

Without --host only this machine can reach the page. There is no password. Uploads are deleted at the end.

examples:
  omgseg web --run work_dirs/demo/train          prints the address to open
  omgseg web --run RUN --port 8000
  omgseg web --run RUN --host 0.0.0.0            the whole network can reach the page
  omgseg web --run RUN --names lvis words.txt    clicks are named by 1,203 words, or by those of a file
"""

from __future__ import annotations

import argparse

from omgseg.cli.arguments import add_model_arguments, build_inferencer
from omgseg.cli.status import OK, UsageError, user_errors


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_arguments(parser)
    group = parser.add_argument_group("page")
    group.add_argument(
        "--host", default="127.0.0.1", help="address to listen on; default: %(default)s, this machine"
    )
    group.add_argument(
        "--allowed-host",
        action="append",
        default=[],
        metavar="NAME",
        help="name under which a reverse proxy serves the page; may be given several times",
    )
    group.add_argument(
        "--names",
        nargs="+",
        default=[],
        metavar="LIST",
        help="label spaces from which clicked objects get names, beside typed words: known lists (lvis, ...), or files "
        "(.json, or .txt with one word a line); their text embeddings are computed before the page opens",
    )
    group.add_argument("--port", type=int, default=7860, help="0: a free one; default: %(default)s")


def run(args: argparse.Namespace) -> int:
    if not 0 <= args.port < 1 << 16:
        raise UsageError(f"--port {args.port} must be between 0 and 65535")
    with user_errors():
        from omgseg.web import serve
    seg = build_inferencer(args)
    with user_errors():
        serve(
            seg,
            host=args.host,
            port=args.port,
            allowed_hosts=args.allowed_host,
            names=args.names,
            ready=lambda address: print(f"{address}  (Ctrl-C ends it)", flush=True),
        )
    return OK
