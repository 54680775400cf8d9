"""omgseg: one model for all segmentation."""

from omgseg import compat

__version__ = "0.1.0"

compat.install()
