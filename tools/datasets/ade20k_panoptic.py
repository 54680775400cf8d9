"""Convert ADE20K to the COCO panoptic and instance formats, which its evaluation needs.

Reads images, annotations and annotations_instance of ADEChallengeData2016 and writes, beside them,
ade20k_panoptic_{train,val}.json with their folders of PNGs, and ade20k_instance_{train,val}.json. Files that
exist, such as those of Mask2Former's scripts, are kept.

Example:
    python tools/datasets/ade20k_panoptic.py data/ADEChallengeData2016 --workers 8
"""

from __future__ import annotations

import argparse
import sys

from omgseg.datasets.converters.ade20k import SPLITS, convert_ade20k


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root", help="the folder ADEChallengeData2016")
    parser.add_argument("--split", nargs="+", choices=list(SPLITS), default=list(SPLITS))
    parser.add_argument("--workers", type=int, default=1, help="processes")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    for split in args.split:
        try:
            written = convert_ade20k(args.root, split, workers=args.workers, show_progress=True)
        except (OSError, ValueError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        print("\n".join(f"wrote {path}" for path in written) or f"{split}: is there already, nothing to do")
    return 0


if __name__ == "__main__":
    sys.exit(main())
