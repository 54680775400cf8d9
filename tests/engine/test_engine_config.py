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
        ("modle.width", "no key 'modle' in the config's top level; did you mean 'model'?"),
        ("train_cfg.max_epoch", "no key 'max_epoch' in train_cfg; did you mean 'max_epochs'"),
        ("param_scheduler.4.gamma", "param_scheduler is a list of 1; '4' is not an index of it"),
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
    with pytest.raises(ConfigError, match=r"model\.widht: TinyModel .*; did you mean 'width'\?"):
        make_runner()


def test_unknown_argument_in_nested_parts(tiny_config):
    tiny_config.test_dataloader.dataset.nmaes = ["a"]
    with pytest.raises(ConfigError, match=r"test_dataloader\.dataset\.nmaes: .*'names'"):
        check_arguments(tiny_config)


def test_classes_with_kwargs_are_checked_against_their_bases():
    good = dict(type="mmdet.DiceLoss", loss_weight=5.0)
    check_arguments(Config(dict(model=dict(type="TinyModel", width=dict(good)))))
    with pytest.raises(ConfigError, match=r"loss_wieght.*did you mean 'loss_weight'"):
        check_arguments(dict(model=dict(type="mmdet.DiceLoss", loss_wieght=5.0)))
    check_arguments(dict(default_hooks=dict(checkpoint=dict(type="CheckpointHook", anything=1))))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("train_cfg.max_epoch", 5, r"train_cfg\.max_epoch: .*did you mean 'max_epochs'"),
        ("model.type", "TinyMdel", r"model\.type: .*'TinyMdel'; did you mean 'TinyModel'"),
        ("model.type", "Nope", r"model\.type: there is no model of the name 'Nope'"),
        (
            "optim_wrapper.optimizer.type",
            "AdamX",
            r"optim_wrapper\.optimizer\.type: .*'AdamX'; did you mean 'Adam",
        ),
        ("param_scheduler.0.type", "MultiStpLR", r"param_scheduler\.0\.type: .*'MultiStepLR'"),
        ("val_evaluator.type", "TinyMetrik", r"val_evaluator\.type: .*'TinyMetric'"),
        ("train_cfg.max_epochs", "abc", r"train_cfg\.max_epochs is 'abc'; .* at least 1"),
        ("train_cfg.max_epochs", 0, "max_epochs is 0; .* at least 1"),
        ("train_cfg.max_epochs", -1, "max_epochs is -1; .* at least 1"),
        ("train_dataloader.batch_size", 0, r"train_dataloader\.batch_size is 0; .* at least 1"),
        ("train_dataloader.num_workers", -1, "num_workers is -1; .* at least 0"),
        ("optim_wrapper.optimizer.lr", float("nan"), "lr is nan; .* above 0"),
        ("optim_wrapper.optimizer.lr", "fast", "lr is 'fast'; .* above 0"),
        (
            "model",
            dict(type="ModelOfParts", decoder=dict(num_queries=0)),
            r"model\.decoder\.num_queries is 0; .* at least 1",
        ),
        ("randomness.seed", -1, r"randomness\.seed is -1; .* 0 to 4294967295"),
        ("default_hooks.checkpoint.interval", 0, "interval is 0; .* or -1 to write none"),
    ],
)
def test_mistakes_end_before_anything_is_built(make_runner, key, value, message):
    with pytest.raises(ConfigError, match=message) as error:
        make_runner(**{key: value})
    assert "\n" not in str(error.value)


def test_a_part_that_no_registry_knows_is_one_line(make_runner):
    with pytest.raises(
        ConfigError, match="'TinyMdel': there is no model of this name; did you mean 'TinyModel'"
    ):
        make_runner(**{"model.type": "ModelOfParts", "model.decoder": dict(type="TinyMdel")})
