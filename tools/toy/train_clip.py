"""Train the toy CLIP: python tools/toy/train_clip.py work_dirs/toy_clip/omgseg_toy.safetensors"""

from __future__ import annotations

import argparse

import torch

from omgseg.toy.clip import NUM_PICTURES, NUM_STEPS, train_toy_clip


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", help="safetensors file to write")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=NUM_STEPS)
    parser.add_argument(
        "--pictures", type=int, default=NUM_PICTURES, help="pictures from which crops are cut"
    )
    parser.add_argument("--threads", type=int, help="threads of torch; default: all cores")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    result = train_toy_clip(
        args.path, args.seed, args.steps, args.pictures, report=lambda line: print(line, flush=True)
    )
    print(f"{result.path}: crop accuracy {100 * result.crop_accuracy:.1f} %, {result.seconds:.0f} s")


if __name__ == "__main__":
    main()
