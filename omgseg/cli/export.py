"""Write a model as ONNX files, for programs without PyTorch.

Every file is run by ONNX Runtime on test inputs and compared with PyTorch. export.json describes inputs and outputs.

examples:
  omgseg export --model edge-sam --weights edge_sam.pth --out onnx
  omgseg export --config configs/sam/sam_vit_b.py --weights sam_vit_b_01ec64.pth --out onnx
  omgseg export --run work_dirs/my_sam --out onnx                     a training of your own
"""

from __future__ import annotations

import argparse
from pathlib import Path

import omgseg
from omgseg.cli.arguments import add_model_files, model_files
from omgseg.cli.status import OK, SOME_FAILED, UsageError, complain, user_errors

_MB = 1e6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_files(parser)
    group = parser.add_argument_group("output")
    group.add_argument(
        "--out", required=True, type=Path, metavar="FOLDER", help="folder to write, which must not exist"
    )


def run(args: argparse.Namespace) -> int:
    if args.out.exists():
        raise UsageError(f"{args.out} exists; give another --out, or remove it")
    config, weights = model_files(args)
    with user_errors():
        from omgseg.inference.export import ExportError, export_onnx
        from omgseg.inference.loading import load

        model = load(config, weights, device="cpu", dtype="float32")
        source = {
            "omgseg": omgseg.__version__,
            "config": Path(config).name,
            "weights": weights and Path(weights).name,
        }
        try:
            exported = export_onnx(model, args.out, source)
        except ExportError as error:
            complain(error)
            return SOME_FAILED
    for file, deviation, largest in exported:
        size = sum(part.stat().st_size for part in args.out.glob(f"{file}*"))
        print(f"{args.out / file}  {size / _MB:.1f} MB")
        for name in deviation:
            print(
                f"  {name}: differs from PyTorch by at most {deviation[name]:.1g}, of values up to {largest[name]:.1g}"
            )
    return OK
