"""The recipes of EdgeSAM's training, and its encoder, which learns from a teacher's embeddings."""

from pathlib import Path

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config

from omgseg.engine import check_arguments
from omgseg.registry import MODELS

CONFIGS = Path(__file__).parents[1] / "configs"


@pytest.mark.parametrize("stage", ["distill_encoder", "distill_prompts"])
def test_the_full_size_recipe_is_that_of_the_published_model(stage):
    config = Config.fromfile(CONFIGS / f"{stage}.py")
    check_arguments(config)
    with torch.device("meta"):
        student = MODELS.build(config.model).state_dict()
        published = MODELS.build(Config.fromfile(CONFIGS / "edge_sam.py").model).state_dict()
    assert {name: tensor.shape for name, tensor in student.items()} == {
        name: tensor.shape for name, tensor in published.items()
    }
    (load,) = [step for step in config.train_dataloader.dataset.pipeline if "cache" in step]
    assert load.cache == config.teacher.cache and config.model.teacher == config.teacher.weights


def test_the_toy_student_learns():
    config = Config.fromfile(CONFIGS / "toy_distill_encoder.py")
    check_arguments(config)
    assert config.model.image_encoder.type == "EdgeSamImageEncoder"
    torch.manual_seed(0)
    side = config.model.image_encoder.image_size = config.model.prompt_encoder.image_size = 64
    model = MODELS.build({**config.model, "teacher": None}).train()
    image = torch.randint(0, 256, (2, 1, 3, side, side), dtype=torch.uint8)
    embeddings = torch.randn(2, config.model.image_encoder.embed_dim, side // 16, side // 16)
    samples = [DetDataSample(metainfo=dict(img_shape=(side, side), teacher="")) for _ in embeddings]
    for sample, embedding in zip(samples, embeddings, strict=True):
        sample.teacher_embedding = embedding.half()
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    losses = []
    for _ in range(10):
        loss = model(image, samples, mode="loss")["loss_embedding"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
    assert all(parameter.grad is not None for parameter in model.image_encoder.parameters())


def test_the_students_of_the_toy_world_are_one_model_with_one_budget():
    names = ("toy_supervised", "toy_distill_encoder", "toy_distill_prompts")
    configs = [Config.fromfile(CONFIGS / f"{name}.py") for name in names]
    for config in configs:
        check_arguments(config)
    first, *others = configs
    for config in others:
        assert config.model.image_encoder == first.model.image_encoder
        assert config.train_cfg == first.train_cfg and config.param_scheduler == first.param_scheduler
        assert config.train_dataloader.batch_size == first.train_dataloader.batch_size
        assert config.model.teacher == config.teacher.weights
        (load,) = [step for step in config.train_dataloader.dataset.pipeline if "cache" in step]
        assert load.cache == config.teacher.cache
