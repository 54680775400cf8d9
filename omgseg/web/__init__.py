"""A web page for a model: pictures, clicks and videos in the browser. Needs Gradio: ``pip install "omgseg[web]"``."""

import os

# Gradio reads these at import: no usage statistics, no check for newer versions.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

try:
    import gradio  # noqa: F401
except ImportError as error:
    raise ImportError(
        f'the web page needs Gradio, which cannot be imported ({error}): pip install "omgseg[web]"'
    ) from error

from omgseg.web.page import build_app
from omgseg.web.server import serve
from omgseg.web.uploads import Limits

__all__ = ["Limits", "build_app", "serve"]
