"""Find everything that is wrong with the files of a dataset, at once.

    python tools/check_dataset.py configs/benchmarks/coco_panoptic.py
    python tools/check_dataset.py configs/omg_coco_vipseg_ytvis.py --split train --workers 8 --out report.json

Reads every image and every mask of the configs' datasets as training and testing do. --fast reads 200 samples of each,
and checks that all other files exist. Exit code: 0 all is well, 1 something is wrong, 2 there is nothing to check.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # projects/ is imported from here

from mmengine.config import Config, DictAction
from mmengine.logging import MMLogger

from omgseg.datasets.checking import SPLITS, UsageError, check_sources, find_sources
from omgseg.datasets.checking import DatasetFiles as Source
from omgseg.engine.config import ConfigError, merge_options


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("configs", nargs="+", metavar="config", help="config files")
    parser.add_argument("--split", choices=SPLITS, help="default: the first of these that a config has")
    parser.add_argument("--fast", action="store_true", help="read 200 samples of each dataset")
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, help="processes (default: one per processor)"
    )
    parser.add_argument(
        "--show", type=int, default=5, metavar="N", help="print N problems of each kind (default 5)"
    )
    parser.add_argument("--out", type=Path, metavar="JSON", help="write all problems to this file")
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=DictAction,
        default={},
        help="change settings: key=value; nested keys with dots",
    )
    return parser


def sources_of(file: str, args: argparse.Namespace) -> list[Source]:
    """The datasets of a config file.

    Raises:
        FileNotFoundError, ConfigError, UsageError: there is no such file, option or dataset, or the file is broken.
    """
    if not Path(file).is_file():
        raise FileNotFoundError(f"config {file} not found")
    try:
        config = Config.fromfile(file)
    except Exception as error:  # a config is a program
        raise UsageError(f"{file} cannot be read: {type(error).__name__}: {error}") from error
    merge_options(config, args.cfg_options)
    try:
        return find_sources(config, args.split, name=Path(file).stem)
    except UsageError as error:
        raise UsageError(f"{file}: {error}") from error


def main(argv: Sequence[str] | None = None) -> int:
    parser = build_parser()
    args = parser.parse_args(argv)
    try:
        sources = [source for file in args.configs for source in sources_of(file, args)]
    except (ConfigError, FileNotFoundError, UsageError) as error:
        parser.error(str(error))
    report = check_sources(sources, args.fast, args.workers)
    print("\n".join(report.lines(args.show)))
    if args.out is not None:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(report.to_dict(), indent=2) + "\n")
    return int(report.num_problems > 0)


if __name__ == "__main__":
    MMLogger.get_current_instance().setLevel(
        "WARNING"
    )  # at INFO it lists every environment variable of every config
    sys.exit(main())
