"""Speed: our head against mmdet's, our metrics, and what users wait for. ``tools/benchmark.py`` runs them."""

import omgseg  # noqa: F401  first: without it mmdet does not import where mmcv has no compiled operators
