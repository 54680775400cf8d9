"""SAM as ONNX: ONNX Runtime gives what PyTorch gives, and the documentation's example needs no PyTorch."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from omgseg.inference.export import export_onnx
from omgseg.models.sam.adapter import SamSegmenter
from omgseg.protocols import Exportable, Prompts
from omgseg.registry import MODELS
from omgseg.structures.run_lengths import decode_masks

onnxruntime = pytest.importorskip("onnxruntime", reason="omgseg[export] is not installed")
pytest.importorskip("onnxscript", reason="omgseg[export] is not installed")

PAGE = "docs/use/export.md"
TOLERANCE = 1e-3
NO_TORCH = "import sys; sys.modules['torch'] = None; import runpy; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0])"


@pytest.fixture(scope="module")
def sam(small_config):
    """With random weights whose masks cover some of an image, and differ by all that is given."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(1)
        model = MODELS.build(small_config)
        for parameter in model.mask_decoder.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return SamSegmenter.from_model(model.eval(), {"model": small_config})


@pytest.fixture(scope="module")
def folder(sam, tmp_path_factory):
    folder = tmp_path_factory.mktemp("export") / "onnx"
    export_onnx(sam, folder)
    return folder


@pytest.fixture(scope="module")
def sessions(folder):
    return [
        onnxruntime.InferenceSession(folder / f"{name}.onnx") for name in ("image_encoder", "mask_decoder")
    ]


@pytest.fixture(scope="module")
def photo():
    return np.random.default_rng(0).integers(0, 256, (90, 130, 3), np.uint8)


def test_a_sam_can_be_exported(sam):
    assert isinstance(sam, Exportable)


@pytest.mark.parametrize("size", [(64, 64), (64, 3), (1, 64), (31, 17)])
def test_images_of_any_shape(sam, sessions, size):
    pixels = np.random.default_rng(1).integers(0, 256, (*size, 3), np.uint8)
    images = torch.from_numpy(pixels).permute(2, 0, 1).unsqueeze(0)
    with torch.no_grad():
        expected = sam.model.image_encoder(sam.model.normalize(images, [size]))
    (found,) = sessions[0].run(None, {"image": pixels})
    assert np.abs(found - expected.numpy()).max() < TOLERANCE


def test_an_image_that_was_not_resized_is_refused(sessions):
    with pytest.raises(Exception, match="ConstantOfShape|Expand"):
        sessions[0].run(None, {"image": np.zeros((65, 64, 3), np.uint8)})


@pytest.mark.parametrize("objects", [1, 2, 9])
@pytest.mark.parametrize("kind", ["click", "clicks", "box", "box and clicks", "mask and clicks"])
def test_prompts_of_any_number(sam, sessions, objects, kind):
    """As the model takes them: boxes apart from points, and no masks where there are none."""
    random = np.random.default_rng(objects)
    side = sam.model.prompt_encoder.mask_size
    embedding = random.standard_normal((1, 32, 8, 8)).astype(np.float32)
    count = {"click": 1, "box": 0}.get(kind, 3)
    points = random.uniform(0, 64, (objects, count, 2)).astype(np.float32)
    labels = random.integers(0, 2, (objects, count))
    corners = np.sort(random.uniform(0, 64, (objects, 2, 2)).astype(np.float32), axis=1)
    masks = random.standard_normal((objects, 1, side, side)).astype(np.float32) * 5
    has_box, has_mask = kind.startswith("box"), kind.startswith("mask")
    given = [points if count else None, labels if count else None]
    given += [corners.reshape(-1, 4) if has_box else None, masks if has_mask else None]
    with torch.no_grad():
        tensors = [None if one is None else torch.from_numpy(one) for one in given]
        expected = sam.model.decode(torch.from_numpy(embedding), *tensors)
    end = ([2, 3], corners) if has_box else ([-1], np.zeros((objects, 1, 2), np.float32))
    found = sessions[1].run(
        None,
        {
            "embedding": embedding,
            "points": np.concatenate([points, end[1]], axis=1),
            "labels": np.concatenate([labels, np.tile(end[0], (objects, 1))], axis=1),
            "masks": masks,
            "has_mask": np.full(objects, has_mask),
        },
    )
    assert expected.logits.abs().max() > 100 * TOLERANCE
    for ours, theirs in zip(found, (expected.logits, expected.iou), strict=True):
        assert ours.shape == tuple(theirs.shape)
        assert np.abs(ours - theirs.numpy()).max() < TOLERANCE


def test_the_example_needs_no_torch(sam, folder, photo, tmp_path, request):
    """The code of docs/use/export.md, in a process that cannot import PyTorch."""
    page = (request.config.rootpath / PAGE).read_text()
    code = page.split("```python\n")[1].split("```")[0]
    assert len([line for line in code.splitlines() if line.strip()]) <= 30
    (tmp_path / "click.py").write_text(code)
    Image.fromarray(photo).save(tmp_path / "photo.png")
    arguments = ["click.py", str(folder), "photo.png", "40", "70", "mask.png"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run(
        [sys.executable, "-c", NO_TORCH, *arguments], cwd=tmp_path, env=environment, check=True, timeout=120
    )
    prompts = Prompts(points=np.array([[[40, 70]]], np.float32))
    (expected,) = decode_masks(sam.segment_prompts(sam.encode_image(photo), prompts).rles, photo.shape[:2])
    found = np.asarray(Image.open(tmp_path / "mask.png"))
    assert found.shape == expected.shape == (90, 130)
    assert 0.05 < expected.mean() < 0.95 and (found == expected).mean() > 0.999


def test_the_description_is_that_of_the_files(folder, sessions):
    content = json.loads((folder / "export.json").read_text())
    assert content["image_size"] == [64, 64]
    assert sorted(path.name for path in folder.iterdir()) == [
        "export.json",
        "image_encoder.onnx",
        "mask_decoder.onnx",
    ]
    for graph, session in zip(content["graphs"], sessions, strict=True):
        assert [value["name"] for value in graph["inputs"]] == [value.name for value in session.get_inputs()]
        assert [value["shape"] for value in graph["inputs"]] == [
            value.shape for value in session.get_inputs()
        ]
        assert all(value["meaning"] for value in graph["inputs"] + graph["outputs"])
    points = content["graphs"][1]["inputs"][1]
    assert (points["type"], points["shape"]) == ("float32", ["objects", "points", 2])


def test_the_files_do_not_tell_where_they_were_made(folder, request):
    for file in folder.iterdir():
        assert str(request.config.rootpath).encode() not in file.read_bytes()
