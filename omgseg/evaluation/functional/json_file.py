"""Annotation files: reading JSON with errors that name the file and the field."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def load_annotations(path: str | Path, fields: Iterable[str]) -> dict[str, Any]:
    """Read a JSON object that must have the given list fields.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: the file is not JSON (truncated), or a field is missing.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} not found; data/README.md says where annotation files belong")
    try:
        content = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is not complete JSON ({error}); download or write it again") from error
    for field in fields:
        if not isinstance(content, dict) or not isinstance(content.get(field), list):
            raise ValueError(
                f"{path} has no list {field!r}; is it the annotation file of another dataset or task?"
            )
    return content
