"""Score predictions that tools/test.py --dump has written, without model, images or GPU.

    python tools/test.py configs/benchmarks/vipseg.py weights.pth --dump predictions
    python tools/score.py configs/benchmarks/vipseg.py predictions --out metrics.json

The numbers are those of the test itself. Settings of the metrics may differ from it, and the data may lie elsewhere:
    --cfg-options test_evaluator.0.windows=1,2,4    or another $OMGSEG_DATA
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # projects/ is imported from here

from mmengine.config import Config, DictAction

from omgseg.engine import merge_options
from omgseg.engine.benchmarks import json_text
from omgseg.engine.offline_scoring import score


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", help="the config that the predictions were made with")
    parser.add_argument("folder", help="the folder given to tools/test.py --dump")
    parser.add_argument("--cfg-options", nargs="+", action=DictAction, help="change settings: key=value")
    parser.add_argument("--out", type=Path, metavar="JSON", help="also write the metrics to this file")
    parser.add_argument("--partial", action="store_true", help="score what is there if samples are missing")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> dict[str, float]:
    args = parse_args(argv)
    if not Path(args.config).is_file():
        raise FileNotFoundError(f"config {args.config} not found")
    cfg = Config.fromfile(args.config)
    merge_options(cfg, args.cfg_options or {})
    values = {name: float(value) for name, value in score(cfg, args.folder, args.partial).items()}
    for name, value in values.items():
        print(f"{name}: {value:.4f}")
    if args.out is not None:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json_text(values))
    return values


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError) as error:  # a file or a setting is not what the user meant
        sys.exit(f"{type(error).__name__}: {error}")
