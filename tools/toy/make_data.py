"""Write the toy world in the official dataset formats: python tools/toy/make_data.py data/toy"""

from __future__ import annotations

import argparse
import time
from dataclasses import fields, replace

from omgseg.toy import TINY, Sizes, generate


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", help="data root to create; left alone when it already holds these data")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tiny", action="store_true", help="a few images and videos of each kind, for tests")
    for field in fields(Sizes):
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=int, help=f"default {field.default}")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    given = {field.name: getattr(args, field.name) for field in fields(Sizes)}
    sizes = replace(TINY if args.tiny else Sizes(), **{key: n for key, n in given.items() if n is not None})
    start = time.perf_counter()
    generate(args.root, args.seed, sizes, report=lambda line: print(line, flush=True))
    print(f"{args.root}: done in {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main()
