"""`python -m omgseg.cli` runs the console script."""

import sys

from omgseg.cli.main import main

sys.exit(main())
