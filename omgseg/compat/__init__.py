"""Makes the OpenMMLab packages usable as they come from the package index: no compiler needed."""

from omgseg.compat.openmmlab import MissingOperatorError, has_compiled_ops, install, quiet_import

__all__ = ["MissingOperatorError", "has_compiled_ops", "install", "quiet_import"]
