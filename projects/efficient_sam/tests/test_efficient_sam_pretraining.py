"""SAMI and MAE: what is seen, what is reconstructed, and what counts."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from PIL import Image

from omgseg.engine import CheckpointError, check_arguments
from omgseg.projects.efficient_sam.pretraining import Reconstruction, patch_pixels, reconstruction_loss
from omgseg.registry import DATASETS, MODELS

CONFIGS = Path(__file__).parents[1] / "configs"
SIDE, PATCH, WIDTH, TARGET = 64, 8, 32, 16
ENCODER = dict(
    type="EfficientSamImageEncoder", image_size=SIDE, patch_size=PATCH, width=WIDTH, depth=2, num_heads=2
)
DECODER = dict(width=24, depth=2, num_heads=2)


def build(**fields):
    torch.manual_seed(0)
    fields = (
        dict(target_dim=TARGET, decoder=DECODER, image_encoder=dict(**ENCODER, embed_dim=TARGET)) | fields
    )
    return MODELS.build(dict(type="MaskedPretraining", **fields))


def batch(size=(SIDE, SIDE), count=4, channels=TARGET, grid=16):
    """Images of one size, and a teacher's embeddings."""
    random = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (count, 1, 3, *size), generator=random, dtype=torch.uint8)
    samples = []
    for _ in range(count):
        sample = DetDataSample(metainfo=dict(img_shape=size, teacher="abc"))
        sample.set_field(
            torch.randn(channels, grid, grid, generator=random), "teacher_embedding", dtype=torch.Tensor
        )
        samples.append(sample)
    return images, samples


def test_every_visible_token_goes_back_to_its_cell_and_masked_ones_see_visible_ones():
    torch.manual_seed(0)
    decoder = Reconstruction(WIDTH, 9, TARGET, **DECODER)
    order, visible = torch.tensor([[4, 0, 7, 1, 2, 3, 5, 6, 8]]), torch.randn(1, 3, WIDTH)
    found = decoder(visible, order)
    assert found.shape == (1, 9, TARGET)
    expected = decoder.head(decoder.norm(decoder.embed(visible)))
    assert torch.allclose(found[:, [4, 0, 7]], expected)
    same = decoder(visible[:, [2, 0, 1]], torch.tensor([[7, 4, 0, 8, 6, 5, 3, 2, 1]]))
    assert torch.allclose(found, same, atol=1e-5)
    # nor does a masked token see another one: its place alone tells it from them
    decoder.positions.data[:, 8] += torch.randn(24)
    moved = decoder(visible, order)
    assert torch.equal(moved[:, :8], found[:, :8]) and not torch.allclose(moved[:, 8], found[:, 8])
    changed = decoder(visible + 1, order)
    assert (changed - moved).abs().amin(-1).gt(0).all()


def test_the_encoder_sees_a_quarter_of_the_patches():
    model, (images, samples) = build(), batch()
    seen = []
    model.image_encoder.blocks[0].register_forward_hook(lambda *call: seen.append(call[1][0].shape))
    model(images, samples, mode="loss")
    assert seen == [(4, (SIDE // PATCH) ** 2 // 4, WIDTH)]
    assert model(images, samples, mode="tensor").shape == (4, (SIDE // PATCH) ** 2, WIDTH)


def test_an_embedding_counts_in_all_cells_that_are_image():
    model, (images, samples) = build(), batch(size=(32, SIDE), count=1)

    def loss():
        torch.manual_seed(3)
        return model(images, samples, mode="loss")["loss_reconstruction"]

    before = loss()
    embedding = samples[0].teacher_embedding
    embedding[:, 8:] += 5.0  # beyond the image
    assert torch.equal(loss(), before)
    for cell in range(8):
        embedding[:, 2 * (cell // 4), 2 * cell] += 5.0  # visible or not
        assert loss() > before
        embedding[:, 2 * (cell // 4), 2 * cell] -= 5.0


def test_pixels_count_where_they_are_masked():
    found, expected = torch.zeros(1, 4, 3), torch.ones(1, 4, 3) * torch.tensor([1.0, 2, 3, 4])[:, None]
    counted = torch.tensor([[True, False, True, False]])
    assert float(reconstruction_loss(found, expected, counted)) == pytest.approx((1 + 9) / 2)
    model, (images, samples) = build(target="pixels"), batch(count=1)
    errors = []
    torch.manual_seed(3)
    order = torch.rand(1, 64).argsort(1)
    original = model.reconstruction.forward
    model.reconstruction.forward = lambda *given: errors.append(given[1]) or original(*given)
    torch.manual_seed(3)
    loss = model(images, samples, mode="loss")["loss_reconstruction"]
    assert torch.equal(errors[0], order)
    pixels = patch_pixels((images[:, 0] - model.pixel_mean) / model.pixel_std, PATCH)
    torch.manual_seed(3)
    visible = model.image_encoder.embed_patches((images[:, 0] - model.pixel_mean) / model.pixel_std)
    visible = model.image_encoder.attend(visible[:, order[0, :16]])
    masked = order[0, 16:]
    error = (original(visible, order) - pixels)[:, masked].square().mean()
    assert loss.item() == pytest.approx(error.item(), rel=1e-4)


def test_patches_are_normalised_row_by_row():
    images = torch.arange(2 * 3 * 16 * 16, dtype=torch.float32).view(2, 3, 16, 16)
    pixels = patch_pixels(images, 8)
    assert pixels.shape == (2, 4, 192)
    patch = images[1, :, :8, 8:].flatten()
    assert torch.allclose(pixels[1, 1], (patch - patch.mean()) / patch.std(), atol=1e-4)
    assert patch_pixels(torch.ones(1, 3, 8, 8), 8).eq(0).all()


@pytest.mark.parametrize("target", ["embedding", "pixels"])
def test_it_learns(target):
    model, (images, samples) = build(target=target).train(), batch()
    images[:] = images[:, :, :, :1, :1]  # of one colour each, by which they can be told apart
    images[..., ::2] = 255 - images[..., ::2]
    for sample in samples:
        sample.teacher_embedding[:] = sample.teacher_embedding.mean((1, 2), keepdim=True) * 16
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(40):
        loss = model(images, samples, mode="loss")["loss_reconstruction"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-3:]) < 0.5 * losses[0]
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_what_is_wrong_is_named(tmp_path):
    with pytest.raises(ValueError, match="target is 'embedding' or 'pixels', not 'words'"):
        build(target="words")
    for ratio in (0.0, 1.0):
        with pytest.raises(ValueError, match=rf"mask_ratio={ratio} leaves \d+ of 64 patches"):
            build(mask_ratio=ratio)
    images, samples = batch(channels=7)
    with pytest.raises(ValueError, match="7 channels: set model.target_dim to it, which is 16"):
        build()(images, samples, mode="loss")
    (tmp_path / "teacher.pth").write_bytes(b"other")
    model = build(teacher=str(tmp_path / "teacher.pth"))
    model.init_weights()
    with pytest.raises(CheckpointError, match="another teacher"):
        model(*batch(), mode="loss")
    with pytest.raises(FileNotFoundError, match=r"gone\.pth"):
        build(teacher="gone.pth").init_weights()
    with pytest.raises(ValueError, match="no masks to predict"):
        build()(*batch(), mode="predict")
    with pytest.raises(ValueError, match="96 pixels does not fit"):
        build()(*batch(size=(96, 64)), mode="loss")


def test_any_folder_of_images_is_data(tmp_path):
    for name, size in (("a/one.jpg", (30, 50)), ("two.PNG", (3, 2)), ("b/c/three.jpeg", (70, 10))):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    pipeline = Config.fromfile(CONFIGS / "mae_ti.py").train_dataloader.dataset.pipeline

    def dataset(folder):
        return DATASETS.build(
            dict(
                type="UnlabelledImageDataset",
                data_prefix=dict(img=str(folder)),
                image_size=(SIDE, SIDE),
                pipeline=pipeline,
            )
        )

    data = dataset(tmp_path)
    assert len(data) == 3 and not len(data.vocabulary)
    samples = [data[index] for index in range(3)]
    assert all(max(sample["inputs"].shape[-2:]) <= SIDE for sample in samples)
    model = build(target="pixels")
    given = model.data_preprocessor(
        dict(inputs=[s["inputs"] for s in samples], data_samples=[s["data_samples"] for s in samples])
    )
    assert model(**given, mode="loss")["loss_reconstruction"].isfinite()
    (tmp_path / "empty").mkdir()
    for folder, message in (("empty", "has no images"), ("gone", "not found")):
        with pytest.raises(FileNotFoundError, match=message):
            dataset(tmp_path / folder).full_init()


@pytest.mark.parametrize("name", ["sami_ti", "sami_s", "mae_ti", "toy_sami", "toy_mae"])
def test_a_pre_trained_encoder_is_that_of_the_model(name):
    config = Config.fromfile(CONFIGS / f"{name}.py")
    check_arguments(config)
    of = "toy_scratch" if name.startswith("toy") else f"efficient_sam_{name.rpartition('_')[2]}"
    with torch.device("meta"):
        trained = MODELS.build(config.model).state_dict()
        model = MODELS.build(Config.fromfile(CONFIGS / f"{of}.py").model).state_dict()
    shapes = [
        {
            key: x.shape
            for key, x in tensors.items()
            if key.startswith("image_encoder.") and ".neck" not in key
        }
        for tensors in (trained, model)
    ]
    assert shapes[0] == shapes[1]
    caches = [step.cache for step in config.train_dataloader.dataset.pipeline if "cache" in step]
    assert caches == ([] if "mae" in name else [config.teacher.cache])
    assert config.model.teacher == (None if "mae" in name else config.teacher.weights)


def test_fine_tuning_takes_the_encoder_alone():
    config = Config.fromfile(CONFIGS / "sam_from_sami.py")
    check_arguments(config)
    assert not config.load_strict and not config.model.freeze_image_encoder
