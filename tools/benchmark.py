"""Measure parts of omgseg against the implementations that they stand in for, and what its users wait for.

    python tools/benchmark.py head --json head.json
    python tools/benchmark.py metrics --json metrics.json
    python tools/benchmark.py use --run work_dirs/demo/train --json use.json
    python tools/benchmark.py sam --json sam.json
    python tools/benchmark.py frames --json frames.json
    python tools/benchmark.py guests --json guests.json
    python tools/benchmark.py index --json index.json
    python tools/benchmark.py gpu --json gpu.json

head: decoder, read-out and losses against mmdet's Mask2FormerHead and MaskFormerFusionHead, with the same weights and
    sizes, in one process, taking turns. Time is the median; memory is the growth of the high-water mark of a fresh
    process per side. Also checks that both compute the same. Needs Linux, about 6 GB of memory and a few minutes.
metrics: seconds per 100 images of PQ, VPQ and STQ, mask AP, J&F and track AP, without and with workers, and of mask AP
    with pycocotools in place of faster-coco-eval; files are generated, and reading them counts. Time is that of the
    fastest run. Also checks that all ways give the same values. Needs about 1 GB of memory and two minutes.
use: of a trained model, seconds for a whole image (panoptic) and for setting an image that is to be clicked on,
    milliseconds of a click, and its share of a whole image in the same run; medians. Frames per second of a stream, and
    the memory of its process after 50 frames and at the end: equal where it is flat. Pictures are generated, or of
    --picture.
sam: of SAM ViT-B and ViT-L, MobileSAM, EdgeSAM, EfficientSAM-Ti and -S and FastSAM at their size, of BA-SAM's MobileSAM
    and ViT-B at 2048 pixels, and of transformers' SamModel with the weights of our ViT-B, taking turns: time and memory
    of the image encoder, of the decoder with 1 and 64 points, and of everything mode; parameters and
    multiply-additions. FastSAM has no decoder. Medians; memory is that of a fresh process per model and part. Also
    checks that both ViT-B give the same masks. Weights are random and not read. Needs transformers, Linux, 12 GB of
    memory and more than an hour; --configs measures some of them.
frames: of OMG-Seg ConvNeXt-L and of RAP-SAM with ResNet-50 and -18, taking turns: seconds of a frame of 1280x736, from
    pixels to logits, multiply-additions, and the memory of a fresh process; medians. Weights and words are random.
    --streams: frames per second of trained toy models beside each other. Needs Linux, 4 GB of memory and about five
    minutes.
guests: seconds of the read-outs of Mask2Former and EoMT, and of those of transformers' image processors, on the same
    made-up outputs. Needs the extra omgseg[guests], about 3 GB of memory and half a minute.
index: of a made-up COCO file of --images and --annotations, and of a third and a ninth of it: seconds and memory of a
    dataset's first start, which searches the file, and of the next one, which maps the index; a fresh process each.
    Needs Linux, by default 5 GB of disk and about ten minutes.
gpu: of OMG-Seg ConvNeXt-L on a GPU: the whole model and its trunk alone, in float32 and bfloat16, with and without
    torch.compile; the head beside mmdet's; read-outs, a training step, images, clicks and a stream; medians, and peaks
    of the device's memory. Weights and words are random. --device cpu --quick: tiny sizes, to see that it runs.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # benchmarks/ is imported from here

import torch

from benchmarks import frames, gpu, guests, index, metrics, sam, use
from benchmarks.head import CASES, run_case, run_checks, table
from benchmarks.head_sides import HeadSizes
from benchmarks.processes import environment


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="{head,metrics,sam,use,frames,guests,index,gpu}")
    modules = dict(metrics=metrics, sam=sam, use=use, frames=frames, guests=guests, index=index, gpu=gpu)
    for name, module in modules.items():
        command = commands.add_parser(name, help="see above")
        command.set_defaults(run=module.run)
        module.add_arguments(command)
    head = commands.add_parser("head", help="see above")
    head.set_defaults(run=benchmark_head)
    head.add_argument("--repeats", type=int, default=5, help="measured runs per side (default 5)")
    head.add_argument("--threads", type=int, help="threads of PyTorch (default: PyTorch's own choice)")
    head.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES), help="default: all")
    head.add_argument("--json", type=Path, help="also write the numbers to this file")
    default = HeadSizes()
    for name in ("image_size", "train_size", "map_size"):
        flag = f"--{name.replace('_', '-')}"
        head.add_argument(
            flag, type=int, nargs=2, metavar=("HEIGHT", "WIDTH"), default=getattr(default, name)
        )
    for name in ("num_queries", "num_layers", "encoder_layers", "channels", "num_objects", "num_points"):
        head.add_argument(f"--{name.replace('_', '-')}", type=int, default=getattr(default, name))
    return parser.parse_args(argv)


def benchmark_head(args: argparse.Namespace) -> int:
    """Returns 0, or 1 when the two sides do not compute the same."""
    if args.threads:
        torch.set_num_threads(args.threads)
    values = {name: getattr(args, name) for name in asdict(HeadSizes()) if hasattr(args, name)}
    sizes = replace(
        HeadSizes(), **{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
    )
    result = {"environment": environment(), "repeats": args.repeats, "sizes": asdict(sizes)}
    where = result["environment"]
    print(
        f"{where['device']}, {where['threads']} threads, torch {where['torch']},"
        f" load average {where['load_average'][0]:.1f} at the start"
    )
    result["checks"] = run_checks(sizes)
    result["cases"] = {}
    for name in args.cases:
        print(f"measuring {name} ...", flush=True)
        result["cases"][name] = run_case(name, sizes, args.repeats)
    print()
    print("\n".join(table(result["cases"], result["checks"])))
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + "\n")
    return int(not all(check["passed"] for check in result["checks"].values()))


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    return args.run(args)


if __name__ == "__main__":
    sys.exit(main())
