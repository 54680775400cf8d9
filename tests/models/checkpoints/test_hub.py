"""hf:// locations: downloaded only where one is written; what cannot be had is named with a way out."""

import socket
import time
from pathlib import Path

import httpx
import huggingface_hub
import pytest
import torch
from huggingface_hub import constants
from huggingface_hub.errors import GatedRepoError

from omgseg.engine import CheckpointError, read_checkpoint
from omgseg.models.checkpoints.hub import local_file

COMMIT = "8a9ff12404d826f98896090eb3260b6c55f996fc"


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """Requests to the hub, all answered with one file."""
    torch.save({"w": torch.ones(2)}, tmp_path / "w.pth")
    requests = []

    def download(*args, **kwargs):
        requests.append((args, kwargs))
        return str(tmp_path / "w.pth")

    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", lambda url: None)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    return requests


@pytest.mark.parametrize(
    ("location", "file", "revision"),
    [
        ("hf://LXT/OMG_Seg/omg_seg_convl.pth", "omg_seg_convl.pth", None),
        ("hf://LXT/OMG_Seg/folder/a.safetensors@refs/pr/1", "folder/a.safetensors", "refs/pr/1"),
        (f"hf://LXT/OMG_Seg/omg_seg_convl.pth@{COMMIT}", "omg_seg_convl.pth", COMMIT),
    ],
)
def test_a_location_names_repository_file_and_revision(asked, location, file, revision):
    assert torch.equal(read_checkpoint(location)["state_dict"]["w"], torch.ones(2))
    assert asked == [(("LXT/OMG_Seg", file), {"revision": revision})]


def test_nothing_else_is_a_request_for_a_download(asked, tmp_path):
    assert local_file(tmp_path / "LXT/OMG_Seg/a.pth") == tmp_path / "LXT/OMG_Seg/a.pth"
    with pytest.raises(FileNotFoundError, match="LXT/OMG_Seg/a.pth not found"):
        read_checkpoint("LXT/OMG_Seg/a.pth")
    for location in ("hf://LXT/OMG_Seg", "hf://LXT/OMG_Seg/", "hf://a.pth", "hf://LXT/OMG_Seg@main/a.pth"):
        with pytest.raises(
            CheckpointError, match=f"{location} is not of the form hf://owner/repository/file"
        ):
            read_checkpoint(location)
    assert not asked


@pytest.fixture
def no_network(monkeypatch, tmp_path):
    """An empty cache, and a machine without network."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))

    def refuse(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    return tmp_path / "cache"


def test_a_gated_file_says_how_to_get_access(no_network, monkeypatch):
    def refuse(url):
        response = httpx.Response(401, request=httpx.Request("HEAD", url))
        raise GatedRepoError("refused", response=response)

    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", refuse)
    with pytest.raises(
        FileNotFoundError, match="is gated: accept its licence at .*/facebook/sam3, then log in"
    ):
        local_file("hf://facebook/sam3/model.safetensors")


@pytest.mark.parametrize("offline", [True, False])
def test_what_cannot_be_downloaded_is_named_with_the_way_out(no_network, monkeypatch, offline):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
    started = time.monotonic()
    with pytest.raises(FileNotFoundError) as error:
        read_checkpoint("hf://LXT/OMG_Seg/omg_seg_convl.pth")
    assert time.monotonic() - started < 5  # the client by itself would try for 23 s
    message = str(error.value)
    assert message.startswith(f"hf://LXT/OMG_Seg/omg_seg_convl.pth is neither in the cache {no_network} nor")
    assert "get https://huggingface.co/LXT/OMG_Seg/resolve/main/omg_seg_convl.pth by hand" in message
    assert ("unset it to download" in message) == offline


@pytest.mark.parametrize("offline", [True, False])
def test_the_cache_serves_without_network(no_network, monkeypatch, offline):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
    folder = no_network / "models--LXT--OMG_Seg"
    file = folder / "snapshots" / COMMIT / "a.pth"
    file.parent.mkdir(parents=True)
    torch.save({"w": torch.ones(1)}, file)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(COMMIT)
    assert Path(local_file("hf://LXT/OMG_Seg/a.pth")) == file
    assert read_checkpoint(f"hf://LXT/OMG_Seg/a.pth@{COMMIT}")["state_dict"]["w"] == 1
