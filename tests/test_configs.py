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
    for encoder in (config.model.image_encoder, config.model.text_encoder):
        encoder.pretrained = None
    with torch.device("meta"):
        model = MODELS.build(config.model)
    assert model.pixel_decoder.input_convs[0].conv.in_channels == model.image_encoder.channels[-1]


def test_the_main_config_adds_nothing_to_its_bases():
    main = (CONFIGS / "omg_coco_vipseg_ytvis.py").read_text()
    assert main.count("=") == main.count("_base_ =") == 1


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return generate(tmp_path_factory.mktemp("data") / "data", sizes=TINY)


def test_the_main_mix_builds_where_its_datasets_are(data):
    """The published pipelines and sizes, on small files in the official layouts."""
    config = Config.fromfile(CONFIGS / "omg_coco_vipseg_ytvis.py")
    words = dict(vipseg=str(data / "VIPSeg" / "vocabulary.json"))
    mix = config.train_dataloader.dataset
    for name, source in mix.datasets.items():
        source.data_root = str(data / Path(source.data_root).name)
        if "vocabulary" in source:
            source.vocabulary = words.get(name)
    joint = DATASETS.build(mix)
    assert set(joint.datasets) == {
        "coco_panoptic",
        "coco_pseudo_clips",
        "coco_prompts",
        "vipseg",
        "youtube_vis_2019",
    }
    assert len(joint) == 3 * TINY.train_images + 15 * TINY.vipseg_train + 30 * TINY.youtube_vis_train
    assert joint.vocabulary.num_things == 24 and joint.vocabulary.num_stuff == 5
    frames = {
        joint.source_of(index): joint[index]["inputs"].shape[0] for index in (0, 6, 12, 18, len(joint) - 1)
    }
    assert frames == dict(coco_panoptic=1, coco_pseudo_clips=2, coco_prompts=1, vipseg=2, youtube_vis_2019=2)


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
