"""SAM learns from its own prompts and corrections."""

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from omgseg.registry import MODELS

SIZE = 64


def batch(count=2, objects=True):
    """Images with a bright square, which is the object."""
    images, samples = torch.zeros(count, 1, 3, SIZE, SIZE, dtype=torch.uint8), []
    for number in range(count):
        mask = torch.zeros(1, SIZE, SIZE, dtype=torch.bool)
        mask[:, 10 + 16 * number : 30 + 16 * number, 20:50] = True
        images[number, 0, :, mask[0]] = 255
        sample = DetDataSample(metainfo=dict(img_shape=(SIZE, SIZE), ori_shape=(SIZE, SIZE)))
        sample.gt_instances = InstanceData(masks=mask if objects else mask[:0])
        samples.append(sample)
    return images, samples


def train(config, steps):
    torch.manual_seed(0)
    model = MODELS.build(config).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    images, samples = batch()
    sums = []
    for _ in range(steps):
        losses = model(images, samples, mode="loss")
        total = sum(losses.values())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        sums.append(total.item())
    return model, sums


def test_two_images_are_learnt(small_config):
    """The box, a click, and clicks after them: half of the loss goes, and the boxes find their objects."""
    model, sums = train({**small_config, "train_cfg": dict(num_clicks=1)}, 60)
    assert sum(sums[-5:]) < 0.5 * sum(sums[:5])
    images, samples = batch()
    for sample in samples:
        rows, columns = sample.gt_instances.masks[0].nonzero().unbind(1)
        corners = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        sample.prompts = InstanceData(boxes=torch.tensor([corners]).float())
    for sample in model.eval()(images, samples, mode="predict"):
        mask, truth = sample.pred_instances.masks[0], sample.gt_instances.masks[0]
        assert (mask & truth).sum() / (mask | truth).sum() > 0.5


def test_a_seed_repeats_a_training(small_config):
    first, second = (train(small_config, 2) for _ in range(2))
    assert first[1] == second[1]
    assert all(torch.equal(a, b) for a, b in zip(first[0].parameters(), second[0].parameters(), strict=True))


def test_images_without_objects_have_a_loss_of_zero_with_gradients(small_config):
    model = MODELS.build(small_config).train()
    losses = model(*batch(objects=False), mode="loss")
    assert set(losses) == {"loss_focal", "loss_dice", "loss_iou"} and not any(losses.values())
    sum(losses.values()).backward()  # all ranks of a distributed training take part
    assert all(parameter.grad is not None for parameter in model.parameters())
    images, samples = batch()
    samples[0].gt_instances = samples[0].gt_instances[:0]
    assert all(value > 0 for value in model(images, samples, mode="loss").values())


def test_a_frozen_encoder_stays_as_it_is(small_config):
    model = MODELS.build({**small_config, "freeze_image_encoder": True}).train()
    assert not model.image_encoder.training and model.mask_decoder.training
    sum(model(*batch(), mode="loss").values()).backward()
    assert all(parameter.grad is None for parameter in model.image_encoder.parameters())
    assert all(parameter.grad is not None for parameter in model.mask_decoder.output_upscaling.parameters())


def test_objects_beyond_the_limit_wait_for_the_next_time(small_config):
    """A limit bounds the memory of images with hundreds of masks."""
    model = MODELS.build({**small_config, "train_cfg": dict(max_objects=3, num_clicks=1)}).train()
    images, samples = batch(1)
    samples[0].gt_instances = InstanceData(masks=samples[0].gt_instances.masks.repeat(50, 1, 1))
    decoded = []
    model.mask_decoder.register_forward_hook(lambda module, given, found: decoded.append(len(found.iou)))
    model(images, samples, mode="loss")
    assert set(decoded) == {3}


def test_an_image_larger_than_the_model_is_named(small_config):
    model = MODELS.build(small_config)
    sample = DetDataSample(metainfo=dict(img_shape=(70, 64)))
    with pytest.raises(
        ValueError, match=r"70 pixels does not fit into SAM's square of 64: .*image_size=\(64, 64\)"
    ):
        model(torch.zeros(1, 1, 3, 70, 64, dtype=torch.uint8), [sample], mode="tensor")


def test_no_prompts_give_no_masks(small_config):
    model = MODELS.build(small_config).eval()
    images, samples = batch(1)
    samples[0].prompts = InstanceData(boxes=torch.zeros(0, 4))
    (sample,) = model(images, samples, mode="predict")
    assert sample.pred_instances.masks.shape == (0, SIZE, SIZE) and not len(sample.pred_instances.scores)


def test_a_stem_learns_in_the_place_of_large_patches(small_config):
    plain = small_config["image_encoder"]
    config = dict(small_config, image_encoder=dict(plain, stem=(8, 16)))
    model, sums = train(config, 12)
    assert sums[-1] < sums[0]
    assert all(parameter.grad.any() for parameter in model.image_encoder.patch_embed.stem.parameters())
    images, samples = batch()
    embeddings = model.eval()(images, samples)
    assert embeddings.shape == MODELS.build(small_config)(images, samples).shape


def test_a_stem_of_too_many_convolutions_is_named(small_config):
    stem = (4,) * 9
    with pytest.raises(ValueError, match="a stem of 9 convolutions of stride 2 does not fit patch_size="):
        MODELS.build(dict(small_config["image_encoder"], stem=stem))
