"""The folder of uploads and results."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from gradio.components import Component


class Workspace:
    """A temporary folder; it is removed with all that is in it by :meth:`close`, or when Python ends.

    Gradio keeps uploads in it, and serves what lies in it without making another copy; :func:`build_app` lets it delete
    files by their age. One at a time: Gradio finds the folder by an environment variable.
    """

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="omgseg-web-")
        self.path = Path(self._folder.name).resolve()
        os.environ["GRADIO_TEMP_DIR"] = str(self.path)

    def new_folder(self) -> Path:
        """An empty folder for the files of one request."""
        return Path(tempfile.mkdtemp(prefix="result-", dir=self.path))

    def close(self) -> None:
        self._folder.cleanup()
        if os.environ.get("GRADIO_TEMP_DIR") == str(self.path):
            del os.environ["GRADIO_TEMP_DIR"]


def as_uploaded(component: Component) -> Component:
    """The same component, whose value is the path of the uploaded file: it is checked before anything decodes it.

    Gradio would decode images and convert videos first. (A sub-class would do, but makes Gradio write a file beside
    the module.)
    """
    component.preprocess = lambda payload: None if payload is None else payload.path
    return component
