"""The folder of a training: its config and its newest checkpoint."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

LAST_CHECKPOINT = "last_checkpoint"
"""mmengine notes there which checkpoint it wrote last, with the folder's path at that time."""


def locate_run(
    config_or_run_dir: T | str | Path, weights: str | Path | None
) -> tuple[T | Path, str | Path | None]:
    """The config and the weights: of a folder of a training its own, as far as none are given; anything else as it is.

    Raises:
        FileNotFoundError: the folder has no config, or no checkpoint where `weights` is None.
    """
    if not isinstance(config_or_run_dir, (str, Path)) or not Path(config_or_run_dir).expanduser().is_dir():
        return config_or_run_dir, weights
    folder = Path(config_or_run_dir).expanduser()
    return config_of_run(folder), newest_checkpoint(folder) if weights is None else weights


def config_of_run(folder: Path) -> Path:
    """The copy of the config that ``tools/train.py`` leaves in its work folder; the newest, if there are several.

    Raises:
        FileNotFoundError: there is none.
    """
    configs = sorted(folder.glob("*.py"), key=lambda path: path.stat().st_mtime)
    if not configs:
        raise FileNotFoundError(
            f"folder {folder} has no config (*.py), so it is not the work folder of a training; give a config file, "
            "or the folder that tools/train.py --work-dir wrote"
        )
    return configs[-1]


def newest_checkpoint(folder: Path) -> Path:
    """The checkpoint that was written last into the work folder of a training, which may have been moved since.

    Raises:
        FileNotFoundError: there is none yet.
    """
    note = folder / LAST_CHECKPOINT
    if note.is_file():
        noted = folder / Path(note.read_text().strip()).name
        if noted.is_file():
            return noted
    found = [
        (int(match[1]), path)
        for path in folder.glob("*.pth")
        if (match := re.fullmatch(r"(?:iter|epoch)_(\d+)", path.stem))
    ]
    if not found:
        raise FileNotFoundError(
            f"folder {folder} has no checkpoint (iter_*.pth or epoch_*.pth): the training has not written one yet; "
            "wait for it, or give weights="
        )
    return max(found)[1]
