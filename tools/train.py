"""Train a model.

python tools/train.py configs/omg_coco_vipseg_ytvis.py --work-dir work_dirs/main
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # projects/ is imported from here

from omgseg.engine import Runner
from omgseg.engine.config import (
    add_common_arguments,
    enable_amp,
    enable_lr_scaling,
    leave_process_group,
    load_config,
    one_line_errors,
    set_resume,
)


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train a model.")
    parser.add_argument("config", help="config file")
    add_common_arguments(parser)
    parser.add_argument(
        "--resume",
        nargs="?",
        const="auto",
        metavar="CHECKPOINT",
        help="continue a training: from this file, or without a value from the newest one of the work folder",
    )
    parser.add_argument("--amp", action="store_true", help="train in bfloat16 autocast")
    parser.add_argument("--auto-scale-lr", action="store_true", help="scale the learning rate with the batch")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    cfg = load_config(args.config, args)
    set_resume(cfg, args.resume)
    if args.amp:
        enable_amp(cfg)
    if args.auto_scale_lr:
        enable_lr_scaling(cfg)
    Runner.from_cfg(cfg).train()


if __name__ == "__main__":
    with one_line_errors():
        main()
        leave_process_group()
