"""The work folder of a training: which checkpoint in it is the newest, and which one training may continue from."""

from __future__ import annotations

import re
from pathlib import Path

from omgseg.models.checkpoints.loading import CheckpointError, read_checkpoint

LAST_CHECKPOINT = "last_checkpoint"
"""mmengine notes there which checkpoint it wrote last, with the path of its folder at that time."""
_NUMBERED = re.compile(r"(?:iter|epoch)_(\d+)\.pth")


def checkpoints_of(folder: str | Path) -> list[Path]:
    """The checkpoints that the training in this folder has written, the newest first.

    The newest is the one that ``last_checkpoint`` names: the file of that name in this folder, which may be a copy of
    the folder that was trained in. Files of higher numbers are of an earlier training. Without such a file the
    number decides; where the folder has no checkpoints at all, what ``last_checkpoint`` names elsewhere is taken (the
    checkpoint hook's ``out_dir``).
    """
    folder = Path(folder)
    numbered = sorted(
        ((int(match[1]), path) for path in folder.glob("*.pth") if (match := _NUMBERED.fullmatch(path.name))),
        reverse=True,
    )
    note = folder / LAST_CHECKPOINT
    if note.is_file():
        noted = Path(note.read_text().strip())
        here = folder / noted.name
        if here.is_file():
            match = _NUMBERED.fullmatch(here.name)
            limit = int(match[1]) if match else numbered[0][0] + 1 if numbered else 0
            return [here, *(path for number, path in numbered if number < limit and path != here)]
        if not numbered and noted.is_file():
            return [noted]
    return [path for _, path in numbered]


def newest_checkpoint(folder: str | Path) -> Path:
    """The checkpoint that was written last into the work folder of a training, which may have been moved since.

    Raises:
        FileNotFoundError: there is none yet.
    """
    found = checkpoints_of(folder)
    if not found:
        raise FileNotFoundError(
            f"folder {folder} has no checkpoint (iter_*.pth or epoch_*.pth): the training has not written one yet; "
            "wait for it, or give weights="
        )
    return found[0]


def checkpoint_before(path: str | Path) -> Path | None:
    """The newest readable checkpoint beside this one that was written before it; None if there is none."""
    match = _NUMBERED.fullmatch(Path(path).name)
    for other in sorted(checkpoints_of(Path(path).parent), key=_number_of, reverse=True):
        if match and _number_of(other) < int(match[1]) and damage_of(other) is None:
            return other
    return None


def _number_of(path: Path) -> int:
    match = _NUMBERED.fullmatch(path.name)
    return int(match[1]) if match else -1


def damage_of(path: str | Path) -> str | None:
    """Why a checkpoint cannot be read, with its name; None if it can.

    Raises:
        FileNotFoundError: there is no such file.
    """
    if Path(path).is_file() and not Path(path).stat().st_size:
        return f"{path} is empty: the program or the machine stopped while it was written"
    try:
        read_checkpoint(path)
    except CheckpointError as error:
        return str(error)
    return None
