"""Evaluate a checkpoint, on one benchmark or on several.

python tools/test.py configs/benchmarks/coco_panoptic.py weights.safetensors --out metrics.json --show-dir pictures
python tools/test.py configs/benchmarks/*.py weights.safetensors --out table.md --out table.json

python tools/test.py configs/benchmarks/*.py --segmenter hf:facebook/mask2former-swin-large-coco-panoptic --out table.md

--segmenter takes any model that `omgseg predict --model` takes. Prints a table: benchmark, metric, ours, the paper's
figures, seconds per image, peak memory. Of several benchmarks, those whose data are missing or that the model cannot do
are listed as such and the others run.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # projects/ is imported from here

from mmengine.config import Config
from mmengine.dist import is_main_process

from omgseg.engine.benchmarks import Outcome, run_benchmark, table, try_benchmark, write_table
from omgseg.engine.config import add_common_arguments, leave_process_group, load_config, one_line_errors
from omgseg.inference.evaluating import with_segmenter


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "configs",
        nargs="+",
        metavar="config ... checkpoint",
        help="config files; then, without --segmenter, the weights: .pth or .safetensors, ours or as published",
    )
    add_common_arguments(parser)
    parser.add_argument(
        "--model",
        metavar="CONFIG",
        help="the config whose model has these weights (default: OMG-Seg ConvNeXt-L)",
    )
    parser.add_argument(
        "--segmenter",
        metavar="NAME|RUN|CONFIG",
        help="test this model instead of a checkpoint: a name of `omgseg models`, hf:owner/name or the folder of a "
        "guest, the work folder of a training, or a config file with --weights",
    )
    parser.add_argument(
        "--weights", metavar="FILE", help="weights of --segmenter; hf:owner/name downloads a guest"
    )
    parser.add_argument(
        "--out",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="also write the numbers as .json, or the table as .md; may be given twice",
    )
    parser.add_argument(
        "--boxes",
        metavar="FILE",
        help="boxes of a detector (a COCO result file), for the benchmarks that give them to a model as prompts",
    )
    parser.add_argument(
        "--show-dir", metavar="FOLDER", help="draw every sample's predictions into this folder"
    )
    parser.add_argument(
        "--dump", metavar="FOLDER", help="write every sample's predictions, for tools/score.py"
    )
    args = parser.parse_args(argv)
    args.checkpoint = None
    if args.segmenter is None:
        if args.weights is not None or len(args.configs) < 2:
            parser.error("give the checkpoint after the configs, or a model with --segmenter")
        args.checkpoint = args.configs.pop()
    elif args.model is not None:
        parser.error("--model is the config of a checkpoint; --segmenter has its own")
    names = [Path(config).stem for config in args.configs]
    if len(set(names)) < len(names):
        parser.error("two configs have the same name; outcomes are listed by name")
    return args


def prepare(file: str, args: argparse.Namespace) -> Config:
    """The config to run. Of several, each has its own folder of logs, pictures and dumps."""
    several, name = len(args.configs) > 1, Path(file).stem
    cfg = load_config(file, args)
    if several and args.work_dir is not None:
        cfg.work_dir = str(Path(args.work_dir) / name)
    cfg.load_from, cfg.resume = args.checkpoint, False
    if args.segmenter is not None:
        cfg = with_segmenter(cfg, args.segmenter, args.weights)
    if args.boxes is not None and "boxes" in cfg.test_cfg:
        cfg.test_cfg.boxes = args.boxes
    for folder, hook in ((args.show_dir, "PicturesHook"), (args.dump, "DumpHook")):
        if folder is not None:
            target = str(Path(folder) / name) if several else folder
            cfg.custom_hooks = [*cfg.get("custom_hooks", []), dict(type=hook, folder=target)]
    return cfg


def main(argv: Sequence[str] | None = None) -> list[Outcome]:
    args = parse_args(argv)
    run = run_benchmark if len(args.configs) == 1 else try_benchmark
    outcomes: list[Outcome] = []
    for file in args.configs:
        outcomes.append(run(prepare(file, args)))
        if is_main_process():
            for path in args.out:  # after each: hours of work are not lost
                write_table(path, outcomes, args.checkpoint or args.segmenter)
    if is_main_process():
        print(table(outcomes))
    return outcomes


if __name__ == "__main__":
    with one_line_errors():
        failed = any(outcome.failed for outcome in main())
        leave_process_group()
        if failed:
            sys.exit(1)
