"""The embedded default: a generated world in the official dataset formats, and a small CLIP that knows its words.

Importing this package makes the toy CLIP known to timm and open_clip under the name ``omgseg_toy``.
"""

from omgseg.toy.architecture import MODEL_NAME, register
from omgseg.toy.generate import TINY, Sizes, generate

__all__ = ["MODEL_NAME", "TINY", "Sizes", "generate", "register"]

register()
