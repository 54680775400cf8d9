"""Guests as folders that ``save_pretrained`` writes; no connection can be opened."""

import socket
from pathlib import Path

import numpy as np
import pytest
import torch

import omgseg
from omgseg.protocols import Segmenter


@pytest.fixture(autouse=True)
def no_connection(monkeypatch):
    """Every attempt to open a connection fails the test."""

    def refuse(*address: object, **_: object) -> None:
        raise AssertionError(f"a connection to {address}")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(scope="session")
def guest_folder(tmp_path_factory):
    """``guest_folder(name)``: the folder of a tiny guest, made once."""
    root = tmp_path_factory.mktemp("guests")

    def folder(name: str) -> Path:
        from tests.guests.tiny import FILMS, GUESTS, decide
        from tests.guests.tiny_sam import SAMS, liven

        place = root / name
        if not place.exists():
            with torch.random.fork_rng():
                torch.manual_seed(3)
                network, *processors = {**GUESTS, **FILMS, **SAMS}[name]()
                (liven if name in SAMS else decide)(network)
            for part in (network, *processors):
                part.save_pretrained(place)
        return place

    return folder


@pytest.fixture(scope="session")
def loaded(guest_folder):
    """``loaded(name)``: a guest on the CPU in float32, loaded once."""
    models = {}

    def load(name: str) -> Segmenter:
        if name not in models:
            models[name] = omgseg.load(guest_folder(name), device="cpu", dtype="float32")
        return models[name]

    return load


@pytest.fixture(scope="session")
def photo() -> np.ndarray:
    """Colored patches, RGB uint8 (90, 120, 3)."""
    patches = np.random.default_rng(5).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return patches.repeat(15, 0).repeat(15, 1)
