"""Every config can be read and built."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from omgseg.engine.config import check_arguments
from omgseg.registry import DATASETS, METRICS, MODELS
from omgseg.toy import TINY, generate

CONFIGS = Path(__file__).parents[1] / "configs"
RUNNABLE = sorted(file for file in CONFIGS.rglob("*.py") if "_base_" not in file.parts)


@pytest.mark.parametrize("file", RUNNABLE, ids=lambda file: str(file.relative_to(CONFIGS)))
def test_a_config_names_only_arguments_that_exist_and_its_model_builds(file):
    config = Config.fromfile(file)
    check_arguments(config)
    for name in ("image_encoder", "text_encoder"):
        if "pretrained" in config.model.get(name, {}):
            config.model[name].pretrained = None
    with torch.device("meta"):
        model = MODELS.build(config.model)
    if "pixel_decoder" in config.model:
        assert model.pixel_decoder.input_convs[0].conv.in_channels == model.image_encoder.channels[-1]


def test_the_main_config_adds_nothing_to_its_bases():
    main = (CONFIGS / "omg_coco_vipseg_ytvis.py").read_text()
    assert main.count("=") == main.count("_base_ =") == 1


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return generate(tmp_path_factory.mktemp("data") / "data", sizes=TINY)


PUBLISHED = [file for file in RUNNABLE if file.parent.name != "toy"]
LOADERS = ("train_dataloader", "val_dataloader", "test_dataloader")


@pytest.mark.parametrize("file", PUBLISHED, ids=lambda file: str(file.relative_to(CONFIGS)))
def test_the_data_of_a_config_build_where_its_datasets_are(file, data, monkeypatch):
    """The published pipelines and sizes, on small files in the official layouts."""
    monkeypatch.setenv("OMGSEG_DATA", str(data))
    monkeypatch.setenv("OMGSEG_VOCABULARIES", str(data / "vocabularies"))
    config = Config.fromfile(file)
    loaders = [config[name].dataset for name in LOADERS if config.get(name)]
    assert loaders or not {"train_cfg", "benchmark"} & set(config)  # a config for prediction needs no data
    for loader in loaders:
        dataset = DATASETS.build(loader)
        members = getattr(dataset, "datasets", {"": dataset})
        for member in members.values():
            sample = member[len(member) - 1]["data_samples"]
            assert sample.tasks and bool(len(member.vocabulary)) != member.CLASS_AGNOSTIC
    for name in ("val_evaluator", "test_evaluator"):
        for metric in config.get(name) or ():
            METRICS.build(metric)


def test_the_main_mix(data, monkeypatch):
    monkeypatch.setenv("OMGSEG_DATA", str(data))
    monkeypatch.setenv("OMGSEG_VOCABULARIES", str(data / "vocabularies"))
    joint = DATASETS.build(Config.fromfile(CONFIGS / "omg_coco_vipseg_ytvis.py").train_dataloader.dataset)
    assert set(joint.datasets) == {
        "coco_panoptic",
        "coco_pseudo_clips",
        "coco_prompts",
        "vipseg",
        "youtube_vis_2019",
    }
    assert len(joint) == 3 * TINY.train_images + 15 * TINY.vipseg_train + 30 * TINY.youtube_vis_train
    assert joint.vocabulary.num_things == 24 and joint.vocabulary.num_stuff == 5
    samples = [joint[index] for index in (0, 6, 12, 18, len(joint) - 1)]
    frames = {sample["data_samples"].source: sample["inputs"].shape[0] for sample in samples}
    assert frames == dict(coco_panoptic=1, coco_pseudo_clips=2, coco_prompts=1, vipseg=2, youtube_vis_2019=2)


def test_there_are_many_short_benchmarks():
    files = [file for file in RUNNABLE if file.parent.name == "benchmarks"]
    assert len(files) == 24
    for file in files:
        assert len(file.read_text().splitlines()) < 40, file.name
        assert Config.fromfile(file).benchmark, file.name


def test_each_toy_evaluation_builds_its_data_and_metrics(data, monkeypatch):
    monkeypatch.setenv("OMGSEG_TOY", str(data.parent))
    names = (
        "joint",
        "vipseg",
        "youtube_vis",
        "davis",
        "interactive",
        "open_vocabulary",
        "open_vocabulary_permuted",
    )
    for name in names:
        config = Config.fromfile(CONFIGS / "toy" / f"{name}.py")
        dataset = DATASETS.build(config.test_dataloader.dataset)
        assert len(dataset) > 0 and dataset[0]["data_samples"].tasks, name
        for metric in config.test_evaluator:
            METRICS.build(metric)
