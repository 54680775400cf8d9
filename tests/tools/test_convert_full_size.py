"""The published size, from one model to another through a file in the published layout and the converter."""

from __future__ import annotations

import json
import runpy
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from torch import Tensor

from omgseg.engine import load_weights, read_checkpoint
from omgseg.models.checkpoints.published import PREFIXES, PUBLISHED_MODELS, convert_state_dict
from omgseg.models.omgseg.model import OMGSeg
from omgseg.registry import MODELS
from omgseg.structures import Vocabulary

ROOT = Path(__file__).parents[2]
HEAD_BYTES = {"omg_convnext_l": 84.2e6, "omg_convnext_xxl": 87.4e6}
"""Sizes of omg_seg_convl.pth and omg_seg_convxxl.pth in https://huggingface.co/LXT/OMG_Seg/tree/main."""


def published_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Our keys under the names of the published checkpoints, which do not store CLIP's logit scale."""
    names = {ours: published for published, ours in PREFIXES}
    renamed = {}
    for key, value in state.items():
        ours = next((prefix for prefix in names if key.startswith(prefix)), None)
        if ours is not None:
            renamed[names[ours] + key[len(ours) :]] = value
    return renamed


def model_config(name: str) -> Config:
    config = Config.fromfile(ROOT / "configs" / "_base_" / "models" / f"{name}.py").model
    config.image_encoder.pretrained = config.text_encoder.pretrained = None
    return config


def build(fill: Callable[[torch.nn.Module], None]) -> OMGSeg:
    """The published ConvNeXt-L model; `fill` gives its parameters their values."""
    with torch.device("meta"):
        model = MODELS.build(model_config("omg_convnext_l"))
    model.to_empty(device="cpu")
    fill(model)
    generator = torch.Generator().manual_seed(1)
    words = torch.randn(3, 2, model.image_encoder.embed_dim, generator=generator)
    model.vocabulary = Vocabulary.from_names(["cat", "dog", "tree"])
    model.class_embeddings = torch.nn.functional.normalize(words, dim=-1)
    return model.eval()


def random_values(model: torch.nn.Module) -> None:
    """Small random weights, everywhere different; quicker than every layer's own initialisation."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-0.05, 0.05, generator=generator)
        for name, parameter in model.named_parameters():
            if parameter.ndim == 1 and not name.endswith("bias"):
                parameter += 1  # scales of layers and norms: signals must not die out
        model.image_encoder.logit_scale.fill_(100.0)


@torch.no_grad()
def outputs(model: OMGSeg) -> list[Tensor]:
    """What every part of the model makes of a small image: decoder outputs, prompts' masks, CLIP's own embeddings."""
    image = torch.randint(
        0, 256, (1, 1, 3, 64, 96), generator=torch.Generator().manual_seed(2), dtype=torch.uint8
    )
    sample = DetDataSample(metainfo=dict(img_shape=(64, 96), batch_input_shape=(64, 96), tasks=("panoptic",)))
    features = model.encode(image, [sample])
    (output,) = model.decode(features, every_layer=False)
    masks = output.mask_logits[:, :, 0]
    prompts = model.prompt_encoder((64, 96), points=torch.tensor([[[30.0, 20.0], [80.0, 50.0]]]))
    prompted = model.query_decoder(features.mask_features, features.levels, 1, prompts, False)[0]
    halves = torch.zeros(1, 2, 2, 2, dtype=torch.bool)
    halves[:, 0, 0] = halves[:, 1, 1] = True
    clip = model.image_encoder.embed_masks(features.last_feature, halves)[0]
    return [output.class_logits, output.objectness_logits, masks, prompted.mask_logits, clip]


class ForeignState:
    """What a training of other people may have left in a checkpoint."""

    def __init__(self) -> None:
        self.step = 3


@pytest.fixture
def folder(tmp_path: Path):
    """A folder for gigabytes, which do not stay."""
    yield tmp_path / "weights"
    shutil.rmtree(tmp_path / "weights", ignore_errors=True)


def test_a_converted_model_computes_exactly_what_the_published_one_does(folder, capsys):
    model = build(random_values)
    expected = outputs(model)
    folder.mkdir()
    content = {
        "meta": {"epoch": 12, "iter": 1234, "dataset_meta": {"classes": ("cat", "dog", "tree")}},
        "state_dict": published_names(model.state_dict()),
        "optimizer": {"state": {0: {"exp_avg": torch.ones(5)}}, "scheduler": ForeignState()},
    }
    torch.save(content, folder / "epoch_12.pth")
    del content, model
    convert = runpy.run_path(str(ROOT / "tools" / "convert_checkpoint.py"))["main"]
    arguments = [str(folder / "epoch_12.pth"), str(folder / "ours.safetensors")]
    with pytest.raises(SystemExit, match=r"never loaded: \S*ForeignState\. .*--trust-pickle"):
        convert(arguments)
    assert convert([*arguments, "--trust-pickle"]) == 0
    printed = capsys.readouterr().out
    assert "WARNING: " in printed and "Because of --trust-pickle" in printed and "ForeignState" in printed
    assert "656 tensors, 220.8 M values" in printed  # the paper says 221 M

    record = json.loads((folder / "ours.json").read_text())
    assert record["training"] == {"epoch": 12, "iter": 1234, "classes": 3}
    assert record["model"]["config"] == "omg_convnext_l" and record["conversion"]["trust_pickle"]
    assert record["model"]["image_encoder_weights"] == "in this file"
    assert record["keys"] == {"renamed": 655, "unknown": []}

    def load(other: torch.nn.Module) -> None:
        load_weights(other, read_checkpoint(folder / "ours.safetensors")["state_dict"], "ours.safetensors")

    other = build(load)
    for ours, theirs in zip(outputs(other), expected, strict=True):
        assert torch.equal(ours, theirs) and ours.isfinite().all() and ours.float().std() > 0


@pytest.mark.parametrize("name", HEAD_BYTES)
def test_both_sizes_have_the_published_layout(name):
    """The published files hold the head's 310 tensors in float32, and nothing else: their sizes tell."""
    with torch.device("meta"):
        state = MODELS.build(model_config(name)).state_dict()
    published = published_names(state)
    assert set(convert_state_dict(published)) == set(state)
    head = {key: value for key, value in published.items() if key.startswith("panoptic_head.")}
    assert len(head) == 310
    size = sum(value.numel() * 4 for value in head.values())
    assert size < HEAD_BYTES[name] < size + 310 * 700  # a name and a zip entry each
    known = PUBLISHED_MODELS[state["pixel_decoder.input_convs.0.conv.weight"].shape[1]]
    declared = Config.fromfile(ROOT / "configs" / "_base_" / "models" / f"{name}.py")
    assert known == (name, declared.clip_name, declared.clip_weights)
