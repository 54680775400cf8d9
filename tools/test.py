"""Evaluate a checkpoint.

python tools/test.py configs/omg_coco_vipseg_ytvis.py weights.pth --out metrics.json --show-dir pictures
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # projects/ is imported from here

from mmengine.config import Config
from mmengine.dist import is_main_process

from omgseg.engine import Runner
from omgseg.engine.launch import add_common_arguments, leave_process_group, load_config, one_line_errors


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Evaluate a checkpoint.")
    add_common_arguments(parser)
    parser.add_argument("checkpoint", help="weights: .pth or .safetensors, ours or in the published layout")
    parser.add_argument("--out", type=Path, metavar="JSON", help="also write the metrics to this file")
    parser.add_argument(
        "--show-dir", metavar="FOLDER", help="draw every sample's predictions into this folder"
    )
    return parser.parse_args(argv)


def add_pictures(cfg: Config, folder: str) -> None:
    """Draw predictions while testing."""
    cfg.custom_hooks = [*cfg.get("custom_hooks", []), dict(type="PicturesHook", folder=folder)]


def main(argv: Sequence[str] | None = None) -> dict[str, float]:
    args = parse_args(argv)
    cfg = load_config(args)
    cfg.load_from, cfg.resume = args.checkpoint, False
    if args.show_dir is not None:
        add_pictures(cfg, args.show_dir)
    metrics = Runner.from_cfg(cfg).test()
    if args.out is not None and is_main_process():
        args.out.parent.mkdir(parents=True, exist_ok=True)
        values = {name: float(value) for name, value in metrics.items()}
        args.out.write_text(json.dumps(values, indent=2) + "\n")
    return metrics


if __name__ == "__main__":
    with one_line_errors():
        main()
        leave_process_group()
