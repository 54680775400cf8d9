"""Attack the package with hundreds of wrong inputs, kills and failing disks, and write what held.

    python tools/chaos.py --seed 0 --out chaos.md
    python tools/chaos.py --areas "mutated files" --cases 50
    python tools/chaos.py --areas "long runs" --visit-minutes 60

Every case runs in a process of its own and gives a right result, a clear error or a failure; docs/reliability.md says
what each area promises. The same seed gives the same cases. Exit code: 0 nothing failed, 1 something did.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

os.environ.setdefault(
    "OMP_NUM_THREADS", "1"
)  # cases are forks of this process, and threads do not survive a fork
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # tests/ is imported from here

from tests.chaos.areas import AREAS
from tests.chaos.campaign import FAILURE, Result, report, run_cases
from tests.chaos.long_runs import FULL
from tests.chaos.world import prepare_forks, write_world


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=0, help="of all cases; default 0")
    parser.add_argument(
        "--areas", nargs="+", choices=AREAS, default=list(AREAS), metavar="AREA", help=", ".join(AREAS)
    )
    parser.add_argument("--cases", type=int, metavar="N", help="at most so many of each area; default: all")
    parser.add_argument("--quick", action="store_true", help="the part that the tests run, of a minute")
    parser.add_argument(
        "--visit-minutes",
        type=float,
        default=FULL.minutes,
        metavar="M",
        help="how long visitors use the page in 'long runs'; default: %(default)g",
    )
    parser.add_argument("--out", type=Path, metavar="MD", help="write the report to this file, too")
    return parser


def main() -> int:
    args = build_parser().parse_args()
    prepare_forks()
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="omgseg-chaos-") as folder:
        world = write_world(Path(folder))
        for name in args.areas:
            started = time.monotonic()
            area = AREAS[name]
            count = min(args.cases or area.count, area.quick if args.quick else area.count)
            cases = area.cases
            if args.quick and area.quick_cases is not None:
                cases = area.quick_cases
            elif name == "long runs":
                cases = partial(cases, length=FULL._replace(minutes=args.visit_minutes))
            results += run_cases(name, cases(args.seed, count, world), _show)
            print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    text = report(results, args.seed)
    print(text)
    if args.out is not None:
        args.out.write_text(f"# Campaign\n\n{text}")
    return int(any(result.outcome.kind == FAILURE for result in results))


def _show(result: Result) -> None:
    if result.outcome.kind == FAILURE:
        print(f"{result.area}, {result.case}: {result.outcome.text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
