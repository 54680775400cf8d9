"""`omgseg predict` for checkouts that are not installed: python tools/infer.py photo.jpg --run work_dirs/demo/train"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from omgseg.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["predict", *sys.argv[1:]]))
