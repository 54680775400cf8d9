"""A tiny CLIP in open_clip's own architecture, with its weights on disk."""

import json
import os

import open_clip
import pytest
import torch
from safetensors.torch import save_file

os.environ.setdefault("HF_HUB_OFFLINE", "1")

TINY = {
    "embed_dim": 24,
    "vision_cfg": {
        "timm_model_name": "test_convnext",
        "timm_model_pretrained": False,
        "timm_pool": "",
        "timm_proj": "mlp",
        "timm_drop": 0.0,
        "timm_drop_path": 0.1,
        "image_size": 64,
    },
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2},
}


@pytest.fixture(scope="session")
def tiny_clip(tmp_path_factory):
    """Name of the tiny model, registered with open_clip."""
    file = tmp_path_factory.mktemp("open_clip") / "omgseg_test_tiny.json"
    file.write_text(json.dumps(TINY))
    open_clip.add_model_config(file)
    return file.stem


@pytest.fixture(scope="session")
def tiny_clip_model(tiny_clip):
    """open_clip's own model with random weights that do something (timm's layer scale starts at 1e-6)."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = open_clip.create_model(tiny_clip).eval()
        for name, parameter in model.visual.trunk.named_parameters():
            if name.endswith("gamma"):
                torch.nn.init.uniform_(parameter, 0.5, 1.5)
        model.logit_scale.data.fill_(5.0)  # exp(5) = 148: above CLIP's clamp
    return model


@pytest.fixture(scope="session")
def tiny_weights(tiny_clip_model, tmp_path_factory):
    """A safetensors file of the whole tiny CLIP."""
    file = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_file({name: value.contiguous() for name, value in tiny_clip_model.state_dict().items()}, file)
    return str(file)


@pytest.fixture
def no_network(monkeypatch, tmp_path):
    """Downloads fail as they do without a network, whatever this machine has."""

    def refuse(*args, **kwargs):
        raise ConnectionError("no network")

    monkeypatch.setattr("open_clip.pretrained.hf_hub_download", refuse)
    monkeypatch.setattr("open_clip.pretrained.urllib.request.urlopen", refuse)


@pytest.fixture
def logged(monkeypatch):
    """Messages of the CLIP modules at warning level or above."""
    messages = []

    def record(message, logger=None, level=20):
        if level >= 30:
            messages.append(message)

    for module in ("image_encoder", "text_encoder"):
        monkeypatch.setattr(f"omgseg.models.omgseg.{module}.print_log", record)
    return messages
