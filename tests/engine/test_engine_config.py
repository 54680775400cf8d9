"""Misspelt keys are errors that name the key and what was probably meant."""

import pytest
from mmengine.config import Config

from omgseg.engine import ConfigError, check_arguments, merge_options


def test_options_change_existing_keys(tiny_config):
    merge_options(tiny_config, {"model.width": 2, "param_scheduler.0.milestones": [3], "load_from": "a.pth"})
    assert tiny_config.model.width == 2
    assert tiny_config.param_scheduler[0].milestones == [3]
    assert tiny_config.load_from == "a.pth"


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("modle.width", "no key 'modle' in the config's top level. Did you mean 'model'?"),
        ("train_cfg.max_epoch", "no key 'max_epoch' in train_cfg. Did you mean 'max_epochs'"),
        ("param_scheduler.4.gamma", "param_scheduler is a list of 1; '4' is no index of it"),
        ("work_dir.x", "work_dir is a value"),
    ],
)
def test_unknown_options(tiny_config, key, message):
    with pytest.raises(ConfigError) as error:
        merge_options(tiny_config, {key: 1})
    assert f"--cfg-options {key}" in str(error.value)
    assert message in str(error.value)


def test_unknown_argument_of_the_model(tiny_config, make_runner):
    merge_options(tiny_config, {"model.widht": 2})
    with pytest.raises(ConfigError, match=r"model\.widht: TinyModel .* Did you mean 'width'\?"):
        make_runner()


def test_unknown_argument_in_nested_parts(tiny_config):
    tiny_config.test_dataloader.dataset.nmaes = ["a"]
    with pytest.raises(ConfigError, match=r"test_dataloader\.dataset\.nmaes: .*'names'"):
        check_arguments(tiny_config)


def test_classes_with_kwargs_are_checked_against_their_bases():
    good = dict(type="mmdet.DiceLoss", loss_weight=5.0)
    check_arguments(Config(dict(model=dict(type="TinyModel", width=dict(good)))))
    with pytest.raises(ConfigError, match=r"loss_wieght.*Did you mean 'loss_weight'"):
        check_arguments(dict(model=dict(type="mmdet.DiceLoss", loss_wieght=5.0)))
    check_arguments(dict(default_hooks=dict(checkpoint=dict(type="CheckpointHook", anything=1))))
