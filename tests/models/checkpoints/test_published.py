import hashlib
import json
import runpy
from pathlib import Path

import huggingface_hub
import pytest
import torch
from mmengine.config import Config
from mmengine.runner.checkpoint import load_state_dict as mmengine_load_state_dict
from torch import nn

import omgseg
from omgseg.models.checkpoints.loading import load_state
from omgseg.models.checkpoints.published import (
    PREFIXES,
    convert_state_dict,
    is_published_layout,
    published_to_ours_inplace,
)
from omgseg.models.checkpoints.reading import read_state_dict
from omgseg.registry import MODELS

TOOL = Path(__file__).parents[3] / "tools" / "convert_checkpoint.py"
CONFIGS = Path(__file__).parents[3] / "configs"


@pytest.fixture
def published(golden_dir):
    """The published layout at a small size, with a stand-in for the image encoder's keys."""
    head = torch.load(golden_dir / "model" / "omgseg_small.pt", weights_only=True)["state_dict"]
    encoder = ["stem.0.weight", "layer1.blocks.0.gamma", "layer4.downsample.1.bias", "head.0.norm.weight"]
    encoder += ["head.1.mlp.fc1.weight"]
    backbone = {f"backbone.{key}": torch.full((2,), float(index)) for index, key in enumerate(encoder)}
    return backbone | {f"panoptic_head.{key}": value for key, value in head.items()}


class _Tree(nn.Module):
    """Parameters at given dotted names."""

    def __init__(self, tensors):
        super().__init__()
        for name, value in tensors.items():
            parent, _, leaf = name.rpartition(".")
            module = self
            for part in filter(None, parent.split(".")):
                if not hasattr(module, part):
                    module.add_module(part, nn.Module())
                module = getattr(module, part)
            module.register_parameter(leaf, nn.Parameter(torch.zeros(value.shape)))


def test_every_published_key_has_a_new_name(published):
    converted = convert_state_dict(published)
    assert len(converted) == len(published) + 1
    assert not is_published_layout(converted) and is_published_layout(published)
    parts = {key.split(".")[0] for key in converted}
    assert parts == {"image_encoder", "pixel_decoder", "query_decoder", "classifier", "prompt_encoder"}
    assert converted["image_encoder.logit_scale"] == 100
    for old, new in [
        ("backbone.layer4.downsample.1.bias", "image_encoder.stages.3.downsample.1.bias"),
        ("backbone.head.0.norm.weight", "image_encoder.pooling_head.norm.weight"),
        ("backbone.head.1.mlp.fc1.weight", "image_encoder.projection.mlp.fc1.weight"),
        ("panoptic_head.transformer_decoder.post_norm.bias", "query_decoder.post_norm.bias"),
        ("panoptic_head.iou_embed.4.weight", "query_decoder.objectness.4.weight"),
        ("panoptic_head.pb_embedding.weight", "prompt_encoder.kind_embed.weight"),
    ]:
        assert converted[new] is published[old]


def test_the_table_is_one_to_one(published):
    assert len({ours for _, ours in PREFIXES}) == len(PREFIXES)
    used = {prefix for prefix, _ in PREFIXES if any(key.startswith(prefix) for key in published)}
    assert all(key.startswith(tuple(used)) for key in published)


def test_head_alone_has_no_logit_scale_and_unknown_keys_keep_their_name():
    converted = convert_state_dict(
        {"panoptic_head.query_feat.weight": torch.zeros(1), "panoptic_head.new": torch.ones(1)}
    )
    assert set(converted) == {"query_decoder.query_feat.weight", "panoptic_head.new"}


def test_load_state_accepts_both_layouts(published):
    converted = convert_state_dict(published)
    for weights in (published, converted):
        model = _Tree(converted)
        report = load_state(model, weights)
        assert report.is_clean and report.loaded == len(converted)
        assert all(torch.equal(value, converted[key].float()) for key, value in model.state_dict().items())


def test_load_state_names_every_key_that_does_not_fit():
    model = _Tree({"a.weight": torch.zeros(2, 3), "a.bias": torch.zeros(2), "b": torch.zeros(1)})
    weights = {"a.weight": torch.ones(3, 2), "a.bias": torch.ones(2), "c": torch.ones(1)}
    with pytest.raises(ValueError) as error:
        load_state(model, weights)
    for part in (
        "1 keys missing in the weights:\n  b",
        "unexpected in the weights:\n  c",
        "a.weight: weights (3, 2), model (2, 3)",
    ):
        assert part in str(error.value)
    report = load_state(model, weights, strict=False)
    assert (report.missing, report.unexpected, report.loaded) == (["b"], ["c"], 1)
    assert report.mismatched == {"a.weight": ((3, 2), (2, 3))}
    assert model.a.bias.tolist() == [1, 1]


def test_the_table_names_every_part_of_the_published_size_model(published):
    config = Config.fromfile(CONFIGS / "_base_" / "models" / "omg_convnext_l.py").model
    config.image_encoder.pretrained = None
    with torch.device("meta"):
        keys = set(MODELS.build(config).state_dict())
    ours = tuple(prefix for _, prefix in PREFIXES)
    assert {key for key in keys if not key.startswith(ours)} == {"image_encoder.logit_scale"}
    head = convert_state_dict(
        {key: value for key, value in published.items() if key.startswith("panoptic_head.")}
    )
    assert set(head) <= keys  # the same, with fewer layers


@pytest.mark.parametrize("load", [nn.Module.load_state_dict, mmengine_load_state_dict])
@pytest.mark.parametrize("prefix", ["", "model."])
def test_the_hook_lets_any_loader_read_the_published_layout(published, load, prefix):
    converted = convert_state_dict(published)
    inner = _Tree(converted)
    inner.register_load_state_dict_pre_hook(published_to_ours_inplace)
    model = inner
    if prefix:
        model = nn.Module()
        model.model = inner
    load(model, {prefix + key: value for key, value in published.items()}, strict=True)
    assert all(torch.equal(value, converted[key].float()) for key, value in inner.state_dict().items())
    load(model, {prefix + key: value + 1 for key, value in converted.items()}, strict=True)
    assert inner.image_encoder.logit_scale == 101


@pytest.mark.parametrize("suffix", [".pth", ".pt"])
def test_the_tool_converts_files(published, tmp_path, capsys, suffix):
    source, target = tmp_path / f"published{suffix}", tmp_path / "ours.safetensors"
    torch.save({"state_dict": published, "meta": {"epoch": 12}}, source)
    main = runpy.run_path(str(TOOL))["main"]
    assert main([str(source), str(target)]) == 0
    assert "110 tensors" in capsys.readouterr().out
    converted = convert_state_dict(published)
    written = read_state_dict(target)
    assert set(written) == set(converted)
    assert all(torch.equal(written[key], converted[key]) for key in converted)
    assert main([str(target), str(tmp_path / "twice.safetensors")]) == 1
    assert "nothing to convert" in capsys.readouterr().out


def test_the_tool_checks_the_result_against_a_config(published, tmp_path, capsys):
    class Small(_Tree):
        def __init__(self, image_encoder):
            assert image_encoder["pretrained"] is None  # the checkpoint brings the weights: no download
            super().__init__(convert_state_dict(published))

    config = tmp_path / "config.py"
    config.write_text("model = dict(type='SmallTree', image_encoder=dict(pretrained='tag'))\n")
    torch.save(published, tmp_path / "fits.pt")
    torch.save(
        {key: value for key, value in published.items() if "query_feat" not in key}, tmp_path / "lacks.pt"
    )
    main = runpy.run_path(str(TOOL))["main"]
    MODELS.register_module(name="SmallTree", module=Small)
    try:
        target = str(tmp_path / "out.safetensors")
        assert main([str(tmp_path / "fits.pt"), target, "--config", str(config)]) == 0
        assert "110 tensors loaded\n0 keys missing" in capsys.readouterr().out
        assert main([str(tmp_path / "lacks.pt"), target, "--config", str(config)]) == 1
        assert "1 keys missing in the weights:\n  query_decoder.query_feat.weight" in capsys.readouterr().out
    finally:
        MODELS.module_dict.pop("SmallTree")


def test_the_tool_says_what_it_wrote(published, tmp_path, capsys):
    """The published files hold the head alone."""
    head = {key: value for key, value in published.items() if key.startswith("panoptic_head.")}
    source = tmp_path / "omg_seg_convl.pth"
    torch.save({"state_dict": head, "meta": {"epoch": 12, "dataset_meta": {"CLASSES": ["a"] * 5}}}, source)
    main = runpy.run_path(str(TOOL))["main"]
    assert main([str(source), str(tmp_path / "ours.safetensors"), "--trust-pickle"]) == 0
    printed = capsys.readouterr().out
    assert "the image encoder is not among them" in printed
    assert "WARNING" not in printed  # nothing foreign in it: read as always
    record = json.loads((tmp_path / "ours.json").read_text())
    for entry, file in (("source", source), ("target", tmp_path / "ours.safetensors")):
        content = file.read_bytes()
        assert record[entry]["file"] == file.name and record[entry]["bytes"] == len(content)
        assert record[entry]["sha256"] == hashlib.sha256(content).hexdigest()
    assert record["source"]["location"] == str(source)
    assert record["conversion"]["omgseg"] == omgseg.__version__ and record["conversion"]["date"][:2] == "20"
    assert record["conversion"]["trust_pickle"] is False and record["conversion"]["left_out_objects"] == []
    assert record["tensors"] == 104 and record["parameters"] == sum(v.numel() for v in head.values())
    assert record["keys"] == {"renamed": 104, "unknown": []}
    assert record["training"] == {"epoch": 12, "classes": 5}
    assert "keep the terms" in record["licence"]


@pytest.mark.parametrize(
    ("channels", "model"),
    [
        (1536, ("omg_convnext_l", "convnext_large_d_320", "laion2b_s29b_b131k_ft_soup")),
        (3072, ("omg_convnext_xxl", "convnext_xxlarge", "laion2b_s34b_b82k_augreg_soup")),
        (96, (None, None, None)),
    ],
)
def test_the_record_names_the_published_size(tmp_path, channels, model):
    weights = {"panoptic_head.pixel_decoder.input_convs.0.conv.weight": torch.zeros(4, channels, 1, 1)}
    torch.save(weights, tmp_path / "in.pth")
    assert (
        runpy.run_path(str(TOOL))["main"]([str(tmp_path / "in.pth"), str(tmp_path / "out.safetensors")]) == 0
    )
    record = json.loads((tmp_path / "out.json").read_text())
    assert tuple(record["model"].values()) == model


def test_the_tool_takes_hub_locations_and_other_layouts(tmp_path, monkeypatch, capsys):
    torch.save({"image_encoder.stem.0.weight": torch.ones(1)}, tmp_path / "blob.pth")
    monkeypatch.setattr(
        huggingface_hub, "hf_hub_download", lambda *args, **kwargs: str(tmp_path / "blob.pth")
    )
    main = runpy.run_path(str(TOOL))["main"]
    assert main(["hf://LXT/OMG_Seg/blob.pth@main", str(tmp_path / "out.safetensors")]) == 0
    assert "all names are kept as they are" in capsys.readouterr().out
    assert set(read_state_dict(tmp_path / "out.safetensors")) == {"image_encoder.stem.0.weight"}
    record = json.loads((tmp_path / "out.json").read_text())
    assert record["source"]["location"] == "hf://LXT/OMG_Seg/blob.pth@main"
    assert record["keys"] == {"renamed": 0, "unknown": []}


def test_a_head_alone_fits_a_config_whose_encoder_has_weights_of_its_own(published, tmp_path, capsys):
    class HeadAndEncoder(_Tree):
        def __init__(self, image_encoder):
            super().__init__(convert_state_dict(published))

    head = {key: value for key, value in published.items() if key.startswith("panoptic_head.")}
    torch.save(head, tmp_path / "head.pth")
    main = runpy.run_path(str(TOOL))["main"]
    MODELS.register_module(name="HeadAndEncoder", module=HeadAndEncoder)
    try:
        for pretrained, code in (("tag", 0), (None, 1)):
            config = tmp_path / f"with_{pretrained}.py"
            config.write_text(
                f"model = dict(type='HeadAndEncoder', image_encoder=dict(pretrained={pretrained!r}))\n"
            )
            arguments = [
                str(tmp_path / "head.pth"),
                str(tmp_path / "out.safetensors"),
                "--config",
                str(config),
            ]
            assert main(arguments) == code
            assert f"{0 if code == 0 else 6} keys missing" in capsys.readouterr().out
            assert json.loads((tmp_path / "out.json").read_text())["model"]["config"] == config.stem
    finally:
        MODELS.module_dict.pop("HeadAndEncoder")


def test_the_tool_reports_keys_that_it_does_not_know(tmp_path, capsys):
    torch.save({"panoptic_head.strange.weight": torch.zeros(1)}, tmp_path / "in.pt")
    main = runpy.run_path(str(TOOL))["main"]
    assert main([str(tmp_path / "in.pt"), str(tmp_path / "out.safetensors")]) == 1
    assert "panoptic_head.strange.weight" in capsys.readouterr().out
    with pytest.raises(SystemExit, match=r"FileNotFoundError: .*gone\.pth not found"):
        main([str(tmp_path / "gone.pth"), str(tmp_path / "out.safetensors")])
    with pytest.raises(SystemExit):
        main([str(tmp_path / "in.pt"), str(tmp_path / "out.pth")])
    assert "must end in .safetensors" in capsys.readouterr().err
    assert not (tmp_path / "out.pth").exists()


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (torch.full((2, 2), torch.nan), "NaN"),
        (torch.ones(2, 2, dtype=torch.int8), "torch.int8, the model's are torch.float32"),
    ],
)
def test_values_that_no_training_gives_are_refused_with_the_name(values, reason):
    weights = {"weight": values, "bias": torch.ones(2)}
    report = load_state(torch.nn.Linear(2, 2), weights, strict=False)
    assert report.loaded == 1 and not report.missing and not report.is_clean
    with pytest.raises(ValueError, match=rf"1 keys with unusable values:\s+weight: .*{reason}"):
        load_state(torch.nn.Linear(2, 2), weights)
