"""The students of EdgeSAM's toy proof."""

from pathlib import Path

from mmengine.config import Config

from omgseg.engine import check_arguments

CONFIGS = Path(__file__).parents[1] / "configs"


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
