"""The embedded example: one model trained jointly on a generated world and evaluated on every task.

python tools/demo.py --work-dir work_dirs/demo
"""

from __future__ import annotations

import argparse

from omgseg.toy.demo import run_demo


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work-dir", default="work_dirs/demo")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="hardly any data and steps: shows that it runs")
    args = parser.parse_args()
    run_demo(args.work_dir, args.seed, args.quick)


if __name__ == "__main__":
    main()
