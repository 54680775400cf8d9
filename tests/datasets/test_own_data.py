"""The examples of data/README.md for one's own data, as they are written there."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.structures import TrackDataSample
from mmengine.config import Config
from mmengine.structures import PixelData

from omgseg.engine.config import check_arguments
from omgseg.registry import DATASETS, METRICS
from omgseg.structures.label_png import write_png
from omgseg.toy.writers import write_image

ROOT = Path(__file__).parents[2]
SECTION = (ROOT / "data/README.md").read_text().split("\n## Your own data\n")[1].split("\n## ")[0]
CONFIGS = dict(re.findall(r"```python\n# configs/(\w+)\.py\n(.*?)```", SECTION, re.DOTALL))
FRUIT, TRAFFIC, CLASSES = re.findall(r"```json\n(.*?)```", SECTION, re.DOTALL)


def make_picture(path, height, width):
    write_image(path, np.full((height, width, 3), 99, np.uint8))


@pytest.fixture
def own(tmp_path):
    """The folder that the page calls /my, and a function that reads a config of the page."""
    for name in ("train.json", "val.json"):
        for folder, content in (("fruit", FRUIT), ("traffic", TRAFFIC)):
            (tmp_path / folder).mkdir(exist_ok=True)
            (tmp_path / folder / name).write_text(content)
    make_picture(tmp_path / "fruit/photos/a.jpg", 480, 640)
    for name in json.loads(TRAFFIC)["videos"][0]["file_names"]:
        make_picture(tmp_path / "traffic/frames" / name, 480, 640)
    classes = np.zeros((40, 60), np.uint8)
    classes[10:20, 10:30], classes[0] = 1, 255
    for split in ("train", "val"):
        make_picture(tmp_path / "streets" / split / "images/x/1.jpg", 40, 60)
        write_png(tmp_path / "streets" / split / "masks/x/1.png", classes)
    (tmp_path / "streets/classes.json").write_text(CLASSES)
    for name, text in CONFIGS.items():
        text = text.replace("/my/", f"{tmp_path}/").replace('"./my_', f'"{tmp_path}/my_')
        (tmp_path / f"{name}.py").write_text(text.replace('"./', f'"{ROOT}/configs/'))
    return lambda name: Config.fromfile(tmp_path / f"{name}.py")


def test_the_page_shows_all_of_them():
    assert set(CONFIGS) == {"my_fruit", "my_traffic", "my_streets", "my_training"}


def test_images_with_objects(own):
    config = own("my_fruit")
    train = DATASETS.build(config.coco_instance_train)
    sample = train[0]["data_samples"]
    assert train.vocabulary.words == [("red apple", "apple"), ("pear",)]
    assert sample.source == "fruit" and sample.tasks == ("instance",)
    test = DATASETS.build(config.coco_instance_test_dataloader.dataset)
    assert test[0]["data_samples"].img_shape == (800, 1067)
    METRICS.build(config.coco_instance_evaluator)


def test_videos_with_tracks(own):
    config = own("my_traffic")
    train = DATASETS.build(config.youtube_vis_2019_train)
    assert isinstance(train[0]["data_samples"], TrackDataSample) and train.vocabulary.names == ["van"]
    test = DATASETS.build(config.youtube_vis_2019_test_dataloader.dataset)
    assert test[0]["inputs"].shape[0] == 2
    METRICS.build(config.youtube_vis_2019_evaluator)


def test_images_with_maps_of_classes(own):
    config = own("my_streets")
    gt = DATASETS.build(config.streets_train)[0]["data_samples"].gt_instances
    assert set(gt.labels.tolist()) == {0, 1}  # the van is a thing, and so the first label
    test = DATASETS.build(config.streets_test_dataloader.dataset)
    sample = test[0]["data_samples"]
    truth = torch.ones(1, *sample.ori_shape, dtype=torch.int64)
    truth[:, 10:20, 10:30] = 0
    sample.pred_sem_seg = PixelData(sem_seg=truth)
    metric = METRICS.build(config.streets_evaluator)
    metric.dataset_meta = test.metainfo
    metric.process({}, [sample.to_dict()])
    assert metric.evaluate(1)["semantic/mIoU"] == 100


def test_training_on_own_and_shipped_data(own):
    config = own("my_training")
    check_arguments(config)
    mix = config.train_dataloader.dataset
    mix.datasets = {name: mix.datasets[name] for name in ("fruit", "traffic")}  # the others are not here
    mix.repeat = {name: mix.repeat[name] for name in mix.datasets}
    joint = DATASETS.build(mix)
    assert len(joint) == 10 + 5 and joint.vocabulary.names == ["red apple", "pear", "van"]
    assert joint[0]["data_samples"].source == "fruit"
    assert joint[14]["data_samples"].video_data_samples[0].source == "traffic"
    assert len(DATASETS.build(config.test_dataloader.dataset)) == 1
    METRICS.build(config.test_evaluator)
