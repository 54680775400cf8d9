"""SAM's checkpoints of transformers load into our SAM, which then gives the same masks."""

import numpy as np
import pytest
import torch
from mmengine.config import Config
from safetensors.torch import load_file, save_file

import omgseg
from benchmarks.sam_sides import TINY, build, picture_for, to_transformers
from omgseg.engine import CheckpointError
from omgseg.model_table import recognise
from omgseg.models.checkpoints.loading import read_checkpoint
from omgseg.models.checkpoints.transformers_sam import POSITIONS, from_transformers
from omgseg.protocols import Prompts

transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def model():
    return build(TINY)


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    """What ``save_pretrained`` writes of the model's twin, and a config of ours."""
    place = tmp_path_factory.mktemp("sam")
    side = model.image_size
    to_transformers(model).save_pretrained(place)
    transformers.SamImageProcessor(
        size={"longest_edge": side}, pad_size={"height": side, "width": side}
    ).save_pretrained(place)
    Config(dict(default_scope="omgseg", model=TINY)).dump(place / "sam.py")
    return place


@pytest.fixture(scope="module")
def both(folder):
    """Our SAM with the file of transformers, and transformers' SAM as a guest."""
    ours = omgseg.load(folder / "sam.py", folder / "model.safetensors", device="cpu", dtype="float32")
    return ours, omgseg.load(folder, device="cpu", dtype="float32")


def test_every_tensor_is_loaded(model, both):
    loaded = both[0].model.state_dict()
    assert loaded.keys() == model.state_dict().keys()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in model.state_dict().items())


def test_files_of_the_published_size_are_recognised():
    with torch.device("meta"):
        theirs = transformers.SamModel(transformers.SamConfig())
    weights = from_transformers(theirs.state_dict())
    entry = recognise({name: tuple(tensor.shape) for name, tensor in weights.items()})
    assert entry.name == "sam-vit-b"
    assert (
        sum(tensor.numel() for name, tensor in weights.items() if "gaussian" not in name) == entry.parameters
    )


@pytest.mark.parametrize("turned", [False, True])
def test_masks_equal_those_of_the_guest(model, both, turned):
    """Of an image that fits without resizing, whose pixels are the same for both."""
    image = picture_for(model)
    image = np.ascontiguousarray(image.transpose(1, 0, 2)) if turned else image
    states = [side.encode_image(image) for side in both]
    click, clicks = (
        np.float32([[[20, 30]], [[40, 10]]]),
        np.float32([[[20, 30], [9, 9]], [[40, 10], [5, 40]]]),
    )
    labels, boxes = np.int8([[1, 0], [1, 1]]), np.float32([[5, 5, 30, 40], [10, 2, 47, 44]])
    first = None
    for prompts in (
        Prompts(click),
        Prompts(clicks, labels),
        Prompts(boxes=boxes),
        Prompts(clicks, labels, boxes),
        Prompts(masks=np.stack([image[..., 0] > 99, image[..., 1] > 99])),
    ):
        ours, theirs = (
            side.segment_prompts(state, prompts) for side, state in zip(both, states, strict=True)
        )
        assert ours.rles == theirs.rles
        logits = theirs.carry.logits
        torch.testing.assert_close(
            ours.carry.logits, logits, atol=1e-4 * float(logits.abs().max()), rtol=1e-4
        )
        np.testing.assert_allclose(ours.scores, theirs.scores, atol=1e-5)
        first = first or ours.rles
    assert first != ours.rles
    found = [side.propose(state, 4, 0.5, 1.0) for side, state in zip(both, states, strict=True)]
    assert found[0].rles == found[1].rles and len(found[0].rles) > 1


def test_a_file_with_the_shared_tensor_twice(folder, tmp_path):
    weights = load_file(folder / "model.safetensors")
    assert POSITIONS[0] in weights and POSITIONS[1] not in weights
    weights[POSITIONS[1]] = weights[POSITIONS[0]].clone()
    save_file(weights, tmp_path / "old.safetensors")
    files = folder / "model.safetensors", tmp_path / "old.safetensors"
    read = [read_checkpoint(file)["state_dict"] for file in files]
    assert read[0].keys() == read[1].keys()


def test_what_does_not_fit_is_named(folder, tmp_path):
    weights = load_file(folder / "model.safetensors")
    del weights["mask_decoder.iou_token.weight"]
    save_file(weights | {"mask_decoder.hq_token.weight": torch.ones(1)}, tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match=r"missing(.|\n)*iou_token(.|\n)*unexpected(.|\n)*hq_token"):
        omgseg.load(folder / "sam.py", tmp_path / "other.safetensors", device="cpu")
