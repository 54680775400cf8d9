"""Makes the OpenMMLab packages usable as they come from the package index: no compiler needed."""

from omgseg.compat.mmcv_ext import MissingOperatorError, has_compiled_ops
from omgseg.compat.mmcv_ext import install as _install_mmcv_ext
from omgseg.compat.quiet import install as _install_quiet
from omgseg.compat.quiet import quiet_import

__all__ = ["MissingOperatorError", "has_compiled_ops", "install", "quiet_import"]


def install() -> None:
    """Let ``import mmdet.models`` work, silently, without compiled mmcv operators. Idempotent."""
    _install_mmcv_ext()
    _install_quiet()
