"""EfficientSAM as ONNX: ONNX Runtime gives what PyTorch gives."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from omgseg.inference.export import export_onnx
from omgseg.projects.efficient_sam import EfficientSamSegmenter
from omgseg.protocols import Exportable, Prompts
from omgseg.registry import MODELS
from omgseg.structures.run_lengths import decode_masks

onnxruntime = pytest.importorskip("onnxruntime", reason="omgseg[export] is not installed")
pytest.importorskip("onnxscript", reason="omgseg[export] is not installed")

TOLERANCE = 1e-3


@pytest.fixture(scope="module")
def model(small):
    """With random weights whose masks cover some of an image, and differ by all that is given."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(1)
        model = MODELS.build(small.model)
        for parameter in model.mask_decoder.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return EfficientSamSegmenter.from_model(model.eval(), small)


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("export") / "onnx"
    export_onnx(model, folder)
    return folder


@pytest.fixture(scope="module")
def sessions(folder):
    return [
        onnxruntime.InferenceSession(folder / f"{name}.onnx") for name in ("image_encoder", "mask_decoder")
    ]


@pytest.mark.parametrize("size", [(64, 64), (200, 31), (3, 90), (1, 1)], ids=str)
def test_images_of_any_shape(model, sessions, size):
    image = np.random.default_rng(1).integers(0, 256, (*size, 3), np.uint8)
    (found,) = sessions[0].run(None, {"image": image})
    assert np.abs(found - model.encode_image(image).embedding.numpy()).max() < TOLERANCE


@pytest.mark.parametrize("objects", [1, 2, 9])
@pytest.mark.parametrize("kind", ["click", "clicks", "box", "box and clicks", "nine clicks"])
def test_prompts_of_any_number(model, sessions, objects, kind):
    random = np.random.default_rng(objects)
    side, cells = model.model.image_size, model.model.image_encoder.grid
    embedding = random.standard_normal((1, 32, cells, cells)).astype(np.float32)
    count = {"click": 1, "box": 0, "nine clicks": 9}.get(kind, 3)
    points = random.uniform(0, side, (objects, count, 2)).astype(np.float32)
    labels = random.integers(0, 2, (objects, count))
    corners = np.sort(random.uniform(0, side, (objects, 2, 2)).astype(np.float32), axis=1)
    has_box = kind.startswith("box")
    given = [points if count else None, labels if count else None]
    given += [corners.reshape(-1, 4) if has_box else None]
    with torch.no_grad():
        tensors = [None if one is None else torch.from_numpy(one) for one in given]
        expected = model.model.decode(torch.from_numpy(embedding), *tensors)
    if has_box:
        points = np.concatenate([corners, points], axis=1)
        labels = np.concatenate([np.tile([2, 3], (objects, 1)), labels], axis=1)
    found = sessions[1].run(None, dict(embedding=embedding, points=points, labels=labels))
    assert expected.logits.abs().max() > 100 * TOLERANCE
    for ours, theirs in zip(found, (expected.logits, expected.iou), strict=True):
        assert ours.shape == tuple(theirs.shape)
        assert np.abs(ours - theirs.numpy()).max() < TOLERANCE


def test_the_files_answer_a_click_as_the_model_does(model, folder, sessions):
    """By what export.json says of the inputs."""
    assert isinstance(model, Exportable)
    width, height = json.loads((folder / "export.json").read_text())["image_size"]
    image = np.random.default_rng(0).integers(0, 256, (90, 130, 3), np.uint8)
    (embedding,) = sessions[0].run(None, {"image": image})
    click = np.array([[[40 * width / 130, 70 * height / 90]]], np.float32)
    logits, iou = sessions[1].run(
        None, dict(embedding=embedding, points=click, labels=np.ones((1, 1), np.int64))
    )
    best = torch.from_numpy(logits[:, 1 + iou[0, 1:].argmax()])
    found = F.interpolate(best[None], image.shape[:2], mode="bicubic", align_corners=False)[0, 0] > 0
    prompts = Prompts(points=np.array([[[40, 70]]], np.float32))
    (expected,) = decode_masks(model.segment_prompts(model.encode_image(image), prompts).rles, (90, 130))
    assert 0.05 < expected.mean() < 0.95 and (found.numpy() == expected).mean() > 0.999
