"""The toy CLIP: architecture, objective, training and the saved file."""

import numpy as np
import open_clip
import pytest
import torch
from torch.nn import functional as F

from omgseg.toy import MODEL_NAME, register
from omgseg.toy.categories import NAMES
from omgseg.toy.clip import box_weights, contrastive_loss, crop_accuracy, text_embeddings, train_toy_clip
from omgseg.toy.crops import CROP_SIZE, sample_crops
from omgseg.toy.world import SIZE

STEPS = 30
NUM_PICTURES = 40


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory):
    path = tmp_path_factory.mktemp("clip") / "folder" / "toy.safetensors"
    lines: list[str] = []
    result = train_toy_clip(path, seed=1, steps=STEPS, num_pictures=NUM_PICTURES, report=lines.append)
    return result, lines


def test_registering_twice_changes_nothing():
    register()
    register()
    assert open_clip.list_models().count(MODEL_NAME) == 1


def test_last_stride_is_small_against_the_things():
    model = open_clip.create_model(MODEL_NAME)
    trunk = model.visual.trunk
    assert [info["reduction"] for info in trunk.feature_info] == [4, 8, 8, 8]
    assert trunk.forward_features(torch.zeros(1, 3, 128, 128)).shape[-2:] == (16, 16)
    text = model.encode_text(open_clip.get_tokenizer(MODEL_NAME)(["a photo of a red striped object"]))
    assert text.shape == model.encode_image(torch.zeros(1, 3, 48, 48)).shape


def test_crops_show_every_class_and_reproduce():
    crops, again = sample_crops(3, 120), sample_crops(3, 120)
    assert crops.images.shape == (len(crops.labels), CROP_SIZE, CROP_SIZE, 3)
    assert set(crops.labels.tolist()) == set(range(len(NAMES)))
    assert np.array_equal(crops.images, again.images) and np.array_equal(crops.labels, again.labels)


def test_loss_equals_clip_when_captions_differ():
    image, text = (
        F.normalize(torch.randn(5, 8, generator=torch.Generator().manual_seed(s)), dim=-1) for s in (0, 1)
    )
    logits, diagonal = 10 * image @ text.T, torch.arange(5)
    expected = (F.cross_entropy(logits, diagonal) + F.cross_entropy(logits.T, diagonal)) / 2
    torch.testing.assert_close(contrastive_loss(image, text, diagonal, torch.tensor(10.0)), expected)


def test_crops_of_one_caption_are_no_negatives_of_each_other():
    text = torch.eye(2)
    image = text[[0, 0, 0, 1]]
    loss = contrastive_loss(image, text, torch.tensor([0, 0, 0, 1]), torch.tensor(100.0))
    # Matching all three images of a caption equally is optimal: what remains is half the entropy of log 3, for one
    # of the two captions.
    torch.testing.assert_close(loss, torch.tensor(np.log(3) / 4, dtype=torch.float32))


def test_box_weights_are_the_mean_over_the_box():
    pixels = torch.rand(32, 32, generator=torch.Generator().manual_seed(0))
    cells = pixels.view(4, 8, 4, 8).mean((1, 3))
    aligned, inside = torch.tensor([[8.0, 0.0, 32.0, 16.0], [9.0, 9.0, 13.0, 15.0]])
    weights = box_weights(torch.stack([aligned, inside]), cells=4, size=32)
    torch.testing.assert_close((weights[0] * cells).sum(), pixels[:16, 8:].mean())
    torch.testing.assert_close((weights[1] * cells).sum(), cells[1, 1])


def test_crops_lie_where_their_boxes_say():
    crops = sample_crops(4, 6)
    sides = crops.boxes[:, 2:] - crops.boxes[:, :2]
    assert (sides[:, 0] == sides[:, 1]).all() and crops.boxes.min() >= 0 and crops.boxes.max() <= SIZE
    for image, box, picture in zip(crops.images, crops.boxes.astype(int), crops.picture_of, strict=True):
        region = crops.pictures[picture, box[1] : box[3], box[0] : box[2]]
        assert np.abs(region.mean((0, 1)) - image.mean((0, 1))).max() < 4


def test_thirty_steps_lower_the_loss(trained):
    result, lines = trained
    assert len(result.losses) == STEPS
    assert np.mean(result.losses[-5:]) < 0.85 * np.mean(result.losses[:3])
    assert result.crop_accuracy > 1.5 / len(NAMES)
    assert any(f"{STEPS}/{STEPS}" in line for line in lines)


def test_open_clip_loads_the_saved_file(trained):
    result, _ = trained
    assert [path.name for path in result.path.parent.iterdir()] == ["toy.safetensors"]
    model = open_clip.create_model(MODEL_NAME, pretrained=str(result.path)).eval()
    accuracy = crop_accuracy(model, sample_crops(2, 8))
    assert accuracy == pytest.approx(result.crop_accuracy)
    torch.testing.assert_close(text_embeddings(model).norm(dim=-1), torch.ones(len(NAMES)))


def test_equal_seeds_train_equal_weights(tmp_path):
    first, again, other = (
        train_toy_clip(tmp_path / f"{name}.safetensors", seed, steps=2, num_pictures=4)
        for name, seed in (("first", 0), ("again", 0), ("other", 1))
    )
    assert first.losses == again.losses != other.losses
    assert first.path.read_bytes() == again.path.read_bytes()
