"""Runs what the documentation's commands start, each in a process of its own, without importing torch each time.

``python doc_server.py SOCKET`` imports what all of them need and then forks for each request. The stand-ins that
:func:`write_stand_ins` makes send the requests: their command line, environment, folder and streams; so blocks of shell
are run by the shell, with its quoting, patterns and pipes.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import os
import re
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

NAMES = ("make", "omgseg", "pip", "python", "srun")
"""Commands that are stood in for."""
PRELOADED = (
    "benchmarks.head",
    "mmdet.evaluation",
    "omgseg.inference",
    "omgseg.cli.main",
    "omgseg.datasets.transforms",
    "omgseg.engine.benchmarks",
    "omgseg.engine.model_cost",
    "omgseg.evaluation.metrics",
    "omgseg.labelling",
    "omgseg.models.checkpoints.isolated_reader",
    "omgseg.projects",
    "omgseg.toy",
    "torch.distributed.run",
    "torch.utils.tensorboard",
    "tqdm",
)
REQUEST = 1 << 20
ROOT = Path(__file__).parents[2]
_STAND_IN = """#!{python} -SE
import json, os, socket, sys
request = dict(argv=[os.path.basename(sys.argv[0]), *sys.argv[1:]], env=dict(os.environ), cwd=os.getcwd())
with socket.socket(socket.AF_UNIX) as server:
    server.connect({socket!r})
    socket.send_fds(server, [json.dumps(request).encode() + b"\\n"], [0, 1, 2])
    sys.exit(int(server.makefile().readline() or 70))
"""


def write_stand_ins(folder: Path, address: str) -> None:
    """Executables of ``NAMES`` in `folder` that ask the server at `address`."""
    folder.mkdir()
    for name in NAMES:
        (folder / name).write_text(_STAND_IN.format(python=sys.executable, socket=address))
        (folder / name).chmod(0o755)


def serve(address: str) -> None:
    """Answer until the process is ended."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        while True:
            connection, _ = listener.accept()
            if os.fork():
                connection.close()
            else:
                listener.close()
                answer(connection)


def answer(connection: socket.socket) -> None:
    """Run one command in a child, send its exit code, and end this process."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    text, streams, _, _ = socket.recv_fds(connection, REQUEST, 3)
    while not text.endswith(b"\n"):
        text += connection.recv(REQUEST)
    request = json.loads(text)
    child = os.fork()
    if not child:
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        os.environ.clear()
        os.environ.update(request["env"])
        os.chdir(request["cwd"])
        sys.path[:0] = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        use_projects_of(request["cwd"])
        leave(command, request["argv"], os.environ.get("OMGSEG_DOCS") == "parse")
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    connection.sendall(f"{code % 256}\n".encode())
    os._exit(0)


def use_projects_of(folder: str) -> None:
    """The reader's folder stands for a clone: its projects are those of the package."""
    import omgseg.projects

    omgseg.projects.__path__ = [str(Path(folder) / "projects")]


def leave(function: Callable[..., int], *arguments: Any) -> None:
    """Call a function and end the process with what it returns, without taking a million objects apart."""
    try:
        code = function(*arguments)
    except SystemExit as stop:
        code = stop.code
    except BaseException:
        traceback.print_exc()
        code = 1
    if isinstance(code, str):
        print(code, file=sys.stderr)
        code = 1
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code or 0)


def command(argv: list[str], parse: bool) -> int:
    """Run, or only parse, a command line; returns or exits with its exit code."""
    name, *rest = argv
    if name == "srun":  # its own options, then the program
        return command(
            ["python", *rest[next(i for i, a in enumerate(rest) if a.endswith("/python")) + 1 :]], parse
        )
    if name == "make":
        make = [shutil.which("make", path=os.defpath), "-n", *rest]
        return subprocess.run(make, stdout=subprocess.DEVNULL).returncode
    if name == "pip":
        extras = {extra for argument in rest for extra in re.findall(r"\[([\w,]+)\]", argument)}
        known = (ROOT / "setup.py").read_text()
        return int(not all(f'"{one}": [' in known for extra in extras for one in extra.split(",")))
    if parse:
        stop_after_parsing(rest)
    if name == "omgseg":
        return module("omgseg.cli", rest)
    options = [argument for argument in rest if argument in ("-u",)]
    rest = rest[len(options) :]
    if rest[0] != "-m":
        return script(rest[0], rest[1:])
    if rest[1] == "torch.distributed.run" and parse:
        from torch.distributed.run import get_args_parser

        own = vars(get_args_parser().original_parse_args(rest[2:]))
        return command(["python", own["training_script"], *own["training_script_args"]], parse)
    return module(rest[1], rest[2:])


def script(path: str, arguments: list[str]) -> int:
    sys.argv = [path, *arguments]
    sys.path.insert(0, str(Path(path).resolve().parent))
    runpy.run_path(path, run_name="__main__")
    return 0


def module(name: str, arguments: list[str]) -> int:
    sys.argv = [name, *arguments]
    runpy.run_module(name, run_name="__main__", alter_sys=True)
    return 0


def stop_after_parsing(arguments: list[str]) -> None:
    """From now on a program ends, in success, where it has parsed its arguments.

    Raises:
        SystemExit: an argument names a config of the repository that does not exist.
    """
    missing = [a for a in arguments if re.fullmatch(r"configs/[\w/]+\.py", a) and not Path(a).is_file()]
    if missing:
        sys.exit(f"no such config: {', '.join(missing)}")
    original = argparse.ArgumentParser.parse_args

    def parse_args(self, args=None, namespace=None):
        original(self, args, namespace)
        sys.exit(0)

    argparse.ArgumentParser.original_parse_args = original
    argparse.ArgumentParser.parse_args = parse_args


if __name__ == "__main__":
    import yapf.yapflib.yapf_api

    # mmengine has each config formatted four times, half a second each
    yapf.yapflib.yapf_api.FormatCode = lambda text, **style: (text, True)

    for name in PRELOADED:
        importlib.import_module(name)
    gc.freeze()  # what is never collected is not copied into each process
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    serve(sys.argv[1])
