"""The folder of uploads and results."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gradio.components import Component

from omgseg.web.limits import Limits, Refused


class Workspace:
    """A temporary folder; it is removed with all that is in it by :meth:`close`, or when Python ends.

    Gradio keeps uploads in it, and serves what lies in it without making another copy. One at a time: Gradio finds the
    folder by an environment variable.

    Args:
        limits: how many bytes lie here at most, and for how long.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._folder = tempfile.TemporaryDirectory(prefix="omgseg-web-", ignore_cleanup_errors=True)
        self._lock = threading.Lock()
        self._reserved = 0
        self.path = Path(self._folder.name).resolve()
        os.environ["GRADIO_TEMP_DIR"] = str(self.path)

    def new_folder(self) -> Path:
        """An empty folder for the files of one request."""
        with self._lock:
            self._remove(self._limits.stored_bytes - self._reserved)
        return Path(tempfile.mkdtemp(prefix="result-", dir=self.path))

    def holds(self, path: str) -> bool:
        """Whether a path means a place in the folder. A link that leads out of it, or back into it, is none."""
        try:
            return os.path.isabs(path) and Path(os.path.realpath(path)).is_relative_to(self.path)
        except (OSError, ValueError):
            return False

    @contextmanager
    def reserved(self, size: int) -> Iterator[None]:
        """Keep room for an upload of `size` bytes while it comes in; the oldest files make room.

        Raises:
            Refused: other uploads that come in at the same time need the room.
        """
        with self._lock:
            free = self._limits.stored_bytes - self._reserved - size
            if free < 0:
                raise Refused("Too many uploads at the same time. Try again in a minute.")
            self._remove(free)
            self._reserved += size
        try:
            yield
        finally:
            with self._lock:
                self._reserved -= size

    def clean(self) -> None:
        """Remove what is older than the limits say, whoever left it."""
        with self._lock:
            self._remove(self._limits.stored_bytes - self._reserved)

    def _remove(self, most: int) -> None:
        """What is too old; then the oldest, until no more than `most` bytes are left."""
        entries = sorted(_age_and_size(path) + (path,) for path in self.path.iterdir())
        used = sum(size for _, size, _ in entries)
        too_old = time.time() - self._limits.keep_seconds
        for changed, size, path in entries:
            if changed > too_old and used <= most:
                return
            used -= size
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def close(self) -> None:
        self._folder.cleanup()
        if os.environ.get("GRADIO_TEMP_DIR") == str(self.path):
            del os.environ["GRADIO_TEMP_DIR"]


def _age_and_size(path: Path) -> tuple[float, int]:
    """When a file, or the newest in a folder, was changed, and how many bytes there are."""
    changed, size = 0.0, 0
    for each in (path, *path.rglob("*")):
        with suppress(OSError):  # it may be gone by now
            facts = each.lstat()
            changed, size = max(changed, facts.st_mtime), size + facts.st_size
    return changed, size


def as_uploaded(component: Component, workspace: Workspace) -> Component:
    """The same component, whose value is the path of the uploaded file: it is checked before anything decodes it.

    Gradio would decode images and convert videos first. It checks the path only where the request calls it a file, so
    it is checked here: else a request could name any file of the server. (A sub-class would do, but makes Gradio write
    a file beside the module.)
    """

    def path_of(payload) -> str | None:
        if payload is None:
            return None
        if not isinstance(payload.path, str) or not workspace.holds(payload.path):
            raise Refused("The request names a file that was not uploaded.")
        return payload.path

    component.preprocess = path_of
    return component
