"""Converted files appear complete or not at all: an interrupted conversion leaves nothing that looks usable."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def exists(ann_file: Path, folder: Path) -> bool:
    """Is a converted annotation file there, with its folder of masks?

    Raises:
        FileExistsError: one is there without the other.
    """
    if ann_file.is_file() != folder.is_dir():
        found, missing = (ann_file, folder) if ann_file.is_file() else (folder, ann_file)
        raise FileExistsError(
            f"{found} exists without {missing}: an unfinished conversion or copy; complete or remove it, and run "
            "this again"
        )
    return ann_file.is_file()


@contextmanager
def staging(target: Path, name: str) -> Iterator[Path]:
    """A temporary folder in `target`, whose entries move to `target` when the block ends without an error.

    Folders move before files, so that an annotation file never comes before its masks. What an interrupted run left
    in the temporary folder is removed.

    Args:
        name: of the conversion; two of different names may run at a time.
    """
    temporary = target / f".{name}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        for path in sorted(temporary.iterdir(), key=Path.is_file):
            path.rename(target / path.name)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
