"""Show what is installed on this machine: versions, operators, GPUs, variables, CLIP weights.

examples:
  omgseg check                 prints the report
  omgseg check && make demo    the exit status is 1 if a required package is missing
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from importlib import metadata
from pathlib import Path

import omgseg
from omgseg.cli.status import OK, SOME_FAILED
from omgseg.compat import has_compiled_ops
from omgseg.files import cache_folder

PACKAGES = (
    "torch",
    "torchvision",
    "onedl-mmengine",
    "onedl-mmcv",
    "onedl-mmdetection",
    "open_clip_torch",
    "timm",
    "av",
    "numpy",
    "faster-coco-eval",
)
OPTIONAL = {
    "gradio": "omgseg web",
    "ray": "omgseg label --engine ray",
    "onnx": "omgseg export",
    "onnxscript": "omgseg export",
    "onnxruntime": "omgseg export",
    "pandas": "results as tables",
    "supervision": "results for supervision",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command has no arguments."""


def run(args: argparse.Namespace) -> int:
    missing = [name for name in PACKAGES if _version(name) is None]
    _section("omgseg", {"omgseg": f"{omgseg.__version__} in {Path(omgseg.__file__).parent}", **_machine()})
    _section("packages", {name: _version(name) or "MISSING: pip install -e ." for name in PACKAGES})
    _section(
        "optional",
        {name: _version(name) or f"not installed; needed for: {use}" for name, use in OPTIONAL.items()},
    )
    if "torch" not in missing:
        _section("compute", _compute())
    _section("variables", _variables() or {"OMGSEG_*": "not set"})
    _section("CLIP", _clip())
    if missing:
        print(f"error: {', '.join(missing)} missing; install with pip install -e .", file=sys.stderr)
    return SOME_FAILED if missing else OK


def _section(title: str, rows: dict[str, str]) -> None:
    print(title)
    for name, value in rows.items():
        print(f"  {name:<20} {value}")


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _machine() -> dict[str, str]:
    return {
        "python": f"{platform.python_version()} in {sys.prefix}",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}, {os.cpu_count()} CPUs",
    }


def _compute() -> dict[str, str]:
    import torch

    rows = {"torch threads": str(torch.get_num_threads())}
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    for index in range(count):
        properties = torch.cuda.get_device_properties(index)
        rows[f"GPU {index}"] = f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB"
    if not count:
        rows["GPU"] = "none; models run on the CPU"
    rows["mmcv operators"] = (
        "compiled"
        if has_compiled_ops()
        else "not compiled; attention runs in PyTorch, on GPUs as Triton kernels"
    )
    return rows


def _variables() -> dict[str, str]:
    rows = {}
    for name in sorted(name for name in os.environ if name.startswith("OMGSEG_")):
        value = os.environ[name]
        rows[name] = value
        # only values that are paths are checked
        if os.sep in value and not Path(value).expanduser().exists():
            rows[name] += "   (not found)"
    return rows


def _clip() -> dict[str, str]:
    """Where CLIP's weights and text embeddings are cached. Nothing is downloaded."""
    from huggingface_hub.constants import HF_HUB_CACHE, HF_HUB_OFFLINE

    cached = sorted(path.name for path in Path(HF_HUB_CACHE).glob("models--*") if "CLIP" in path.name)
    network = "no downloads (HF_HUB_OFFLINE)" if HF_HUB_OFFLINE else "downloaded if a config names them"
    embeddings = cache_folder() / "text_embeddings"
    files = [file for file in embeddings.glob("*") if file.is_file()]
    size = sum(file.stat().st_size for file in files) / 2**20
    return {
        "weights": ", ".join(name.removeprefix("models--").replace("--", "/") for name in cached)
        or f"none in {HF_HUB_CACHE}; {network}",
        "text embeddings": f"{len(files)} files, {size:.1f} MiB in {embeddings}",
    }
