"""Fixtures that every test folder shares."""

import os
from pathlib import Path

import pytest


def _folder_from_environment(variable: str) -> Path:
    value = os.environ.get(variable)
    if not value:
        pytest.skip(f"{variable} is not set")
    folder = Path(value)
    if not folder.is_dir():
        pytest.skip(f"{variable}={value} is not a folder")
    return folder


@pytest.fixture(scope="session")
def golden_dir() -> Path:
    """Folder with the reference tensors and metric values (`metrics/`, `model/`)."""
    return _folder_from_environment("OMGSEG_GOLDEN")


@pytest.fixture(scope="session")
def real_samples_dir() -> Path:
    """Folder with a few real photos, frames and annotations in the official dataset layouts."""
    return _folder_from_environment("OMGSEG_REAL_SAMPLES")
