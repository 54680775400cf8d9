"""EfficientSAM behind the seam, and its checkpoints."""

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.structures import InstanceData

import omgseg
from omgseg.engine import CheckpointError
from omgseg.engine.model_cost import model_cost
from omgseg.inference import UnsupportedRequest
from omgseg.model_table import find_model, recognise
from omgseg.models.checkpoints.loading import build_for_prediction
from omgseg.protocols import PromptableModel, Prompts, Proposer
from omgseg.registry import MODELS

TI, S = (find_model(f"efficient-sam-{size}") for size in ("ti", "s"))


@pytest.mark.parametrize("entry", [TI, S], ids=lambda entry: entry.name)
def test_the_sizes_of_the_table(entry):
    with torch.device("meta"):
        model = MODELS.build(Config.fromfile(entry.config).model)
    assert sum(parameter.numel() for parameter in model.parameters()) == entry.parameters
    assert recognise({name: tuple(x.shape) for name, x in model.state_dict().items()}) == entry


def test_its_cost_is_counted_without_weights(small):
    parts = {part.name: part for part in model_cost(small.model, (1, 1), num_classes=1)}
    with torch.device("meta"):
        model = MODELS.build(small.model)
    assert sum(part.parameters for part in parts.values()) == sum(x.numel() for x in model.parameters())
    assert parts["image_encoder"].flops > parts["mask_decoder"].flops / 10 > 0


def test_the_seam(segmenter):
    assert isinstance(segmenter, PromptableModel) and isinstance(segmenter, Proposer)
    assert segmenter.abilities.prompts == TI.prompts and segmenter.abilities.tasks == TI.tasks


@pytest.mark.parametrize("size", [(40, 90), (130, 50), (5, 7), (1, 1)], ids=str)
def test_images_of_any_shape(segmenter, size):
    """Smaller than a patch, too."""
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    state = segmenter.encode_image(image)
    points = np.array([[[size[1] / 2, size[0] / 2]]], np.float32)
    found = segmenter.segment_prompts(state, Prompts(points))
    assert found.rles[0]["size"] == list(size) and 0 <= found.scores[0] <= 1
    assert all(rle["size"] == list(size) for rle in segmenter.propose(state, 2, 0.0, 0.7).rles)


def test_an_image_is_stretched_over_the_square_and_points_with_it(segmenter):
    image = np.zeros((20, 80, 3), np.uint8)
    image[:, 40:] = 255
    pixels, _ = segmenter.model.preprocess(image)
    side = segmenter.model.image_size
    assert pixels.shape[-2:] == (side, side)
    assert (pixels[0, 0, :, : side // 2 - 1] < 0).all() and (pixels[0, 0, :, side // 2 + 1 :] > 0).all()
    placed = segmenter.place(np.array([80.0, 10.0]), segmenter.encode_image(image))
    assert placed.tolist() == [side, side / 2]


def test_every_prompt_is_answered_by_the_best_candidate_as_published(small, segmenter):
    image = np.random.default_rng(1).integers(0, 256, (*segmenter.abilities.test_size, 3), np.uint8)
    box = Prompts(boxes=np.array([[8, 8, 50, 40]], np.float32))
    state = segmenter.encode_image(image)
    prediction = segmenter.model.decode(state.embedding, boxes=torch.tensor([[8.0, 8, 50, 40]]))
    best = prediction.iou[0, 1:].argmax() + 1
    assert torch.equal(segmenter.segment_prompts(state, box).carry.logits[0, 0], prediction.logits[0, best])
    trained = type(segmenter).from_model(segmenter.model, {**small, "segmenter": {}})
    assert torch.equal(trained.segment_prompts(state, box).carry.logits[0, 0], prediction.logits[0, 0])


def test_points_beyond_the_sixth_do_not_count(segmenter):
    encoder = segmenter.model.prompt_encoder
    points = torch.rand(2, 9, 2) * encoder.image_size
    labels = torch.ones(2, 9, dtype=torch.long)
    box = torch.tensor([[1.0, 2, 30, 40], [torch.nan] * 4])
    assert torch.equal(encoder(points, labels)[0], encoder(points[:, :6], labels[:, :6])[0])
    assert torch.equal(encoder(points, labels, box)[0], encoder(points[:, :4], labels[:, :4], box)[0])


def test_masks_are_no_prompts(segmenter):
    with pytest.raises(ValueError, match="takes no mask prompts"):
        segmenter.model.prompt_encoder(masks=torch.zeros(1, 1, 16, 16))
    predictor = omgseg.OMGSegInferencer(segmenter).interactive
    predictor.set_image(np.zeros((20, 30, 3), np.uint8))
    with pytest.raises(UnsupportedRequest, match="masks"):
        predictor.predict(points=(3, 4), labels=[0], mask=np.ones((20, 30), bool))


def test_a_published_file_has_its_tensors_under_model(small, tmp_path):
    torch.manual_seed(0)
    expected = MODELS.build(small.model).state_dict()
    torch.save({"model": expected}, tmp_path / "published.pt")
    model, _ = build_for_prediction(small.model, tmp_path / "published.pt")
    assert all(torch.equal(tensor, expected[name]) for name, tensor in model.state_dict().items())


def test_weights_of_another_model_are_named(small, tmp_path):
    with torch.device("meta"):
        sam = MODELS.build(Config.fromfile(find_model("sam-vit-b").config).model).state_dict()
        ours = MODELS.build(Config.fromfile(TI.config).model).state_dict()
    for name, tensors, config in (
        ("sam.pth", sam, TI.config),
        ("ti.pt", ours, find_model("sam-vit-b").config),
        ("ti.pt", ours, S.config),
    ):
        torch.save({k: torch.zeros(()).expand(v.shape) for k, v in tensors.items()}, tmp_path / name)
        held = "sam-vit-b" if name == "sam.pth" else TI.name
        with pytest.raises(CheckpointError, match=rf"{name} holds {held}, the config is that of"):
            omgseg.load(config, tmp_path / name, device="cpu")


def test_images_without_objects_train(small):
    """Alone they teach nothing; beside others they change nothing."""
    torch.manual_seed(0)
    model = MODELS.build({**small.model, "train_cfg": dict(num_clicks=1)})
    side = model.image_size
    samples = [DetDataSample(metainfo=dict(img_shape=(side, side))) for _ in range(2)]
    for sample, masks in zip(samples, (torch.zeros(0, side, side), torch.ones(1, side, side)), strict=True):
        sample.gt_instances = InstanceData(masks=masks.bool())
    images = torch.zeros(2, 1, 3, side, side, dtype=torch.uint8)
    losses = model(images[:1], samples[:1], mode="loss")
    assert losses and not any(losses.values())
    sum(losses.values()).backward()
    losses = model(images, samples, mode="loss")
    assert all(torch.isfinite(loss) for loss in losses.values()) and losses["loss_focal"] > 0


def test_a_side_that_is_no_multiple_of_a_patch_is_named(small):
    config = {**small.model.image_encoder, "image_size": 70}
    with pytest.raises(ValueError, match="image_size=70 is no multiple of patch_size=16"):
        MODELS.build(config)
