"""Read a checkpoint that holds foreign Python objects, in an interpreter of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from omgseg.models.checkpoints import isolated_reader

_KEPT_VARIABLES = ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT", "OMP_NUM_THREADS")


def read_trusted_pickle(path: Path, scratch: Path) -> tuple[dict[str, Tensor], dict[str, Any], list[str]]:
    """Take the tensors out of a file that :func:`omgseg.models.checkpoints.reading.read_file` refuses.

    The file is read by :mod:`omgseg.models.checkpoints.isolated_reader` in a fresh interpreter: isolated (``-I``), with
    an empty temporary folder as working folder and home, without the environment (tokens, proxies), without network,
    processes or writing of files, and with stand-ins for whatever the file names. It hands its tensors over as
    safetensors.

    Args:
        path: a file that ``torch.save`` wrote, torch 1.6 or newer.
        scratch: folder with room for the tensors; a temporary folder is made in it and removed.

    Returns:
        Name to tensor; plain facts about the training; names of the classes and functions that the file asked for and
        that were replaced.

    Raises:
        ValueError: ``torch.save`` did not write the file, it is damaged, or it holds no tensors.
    """
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path} is not a file that torch.save of torch 1.6 or newer wrote")
    scratch = scratch.resolve()  # the child's working folder is inside of it
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".isolated-", dir=scratch) as folder:
        target = Path(folder) / "tensors.safetensors"
        environment = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
        environment |= {"HOME": folder, "TMPDIR": folder, "CUDA_VISIBLE_DEVICES": ""}
        # -I ignores PYTHONPATH; torch is found where this interpreter found it
        folders = [str(Path(entry).resolve()) for entry in sys.path if entry]
        result = subprocess.run(
            [
                *(sys.executable, "-I", "-W", "ignore", isolated_reader.__file__),
                *(str(path.resolve()), str(target), json.dumps(folders)),
            ],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if result.returncode != 0:
            reason = result.stderr.strip().rpartition("\n")[2] or f"exit code {result.returncode}"
            raise ValueError(f"{path} cannot be read: {reason}")
        found = json.loads(result.stdout)
        return load_file(target), found["training"], found["replaced"]
