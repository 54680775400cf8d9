"""`python -m omgseg.cli`, the same as the console script."""

import sys

from omgseg.cli.main import main

sys.exit(main())
