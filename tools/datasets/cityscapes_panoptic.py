"""Write the official panoptic ground truth of Cityscapes, which evaluating PQ needs; training does not need it.

Reads gtFine/<split>/<city>/*_gtFine_instanceIds.png and writes gtFine/cityscapes_panoptic_<split>.json with its
folder of PNGs, by the conversion of the package cityscapesscripts. Files that exist are kept.

Example:
    python tools/datasets/cityscapes_panoptic.py data/cityscapes
"""

from __future__ import annotations

import argparse
import sys

from omgseg.datasets.converters.cityscapes import convert_cityscapes


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root", help="the folder with leftImg8bit and gtFine")
    parser.add_argument("--split", nargs="+", choices=["train", "val"], default=["val"])
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    for split in args.split:
        try:
            written = convert_cityscapes(args.root, split)
        except (OSError, ValueError) as error:
            print(f"\nerror: {error}", file=sys.stderr)
            return 1
        print("\n".join(f"wrote {path}" for path in written) or f"{split}: is there already, nothing to do")
    return 0


if __name__ == "__main__":
    sys.exit(main())
