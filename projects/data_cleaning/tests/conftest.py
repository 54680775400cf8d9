"""A few images of the toy world with annotations, and a model with random weights that finds things in them."""

import numpy as np
import pytest

from omgseg.inference import load
from omgseg.toy.categories import NUM_THINGS, is_base
from omgseg.toy.image_files import write_coco
from omgseg.toy.world import World
from tests.tiny_omgseg import config_for_calls, spread_weights

IMAGES = 6


@pytest.fixture(scope="session")
def coco(tmp_path_factory):
    """A folder with train2017/ and annotations/ of panoptic segments and instances."""
    root = tmp_path_factory.mktemp("cleaning") / "coco"
    world = World(np.random.default_rng(0), [number for number in range(NUM_THINGS) if is_base(number)])
    scenes = (world.image_scene() for _ in range(IMAGES))
    write_coco(root, "train", scenes, first_id=1, include_novel=False, instances=True)
    return root


@pytest.fixture(scope="session")
def run_config(tmp_path_factory):
    """The config file of a small OMG-Seg."""
    folder = tmp_path_factory.mktemp("run")
    config = config_for_calls(folder)
    config.dump(folder / "tiny.py")
    return folder / "tiny.py"


@pytest.fixture(scope="session")
def model(run_config):
    segmenter = load(run_config, "random", device="cpu")
    spread_weights(segmenter.model, 0.6)
    return segmenter


@pytest.fixture
def config_of(coco, tmp_path):
    """``config_of(kind="panoptic", ...)``: a config file with annotated images."""

    def write(kind="panoptic", **changes):
        fields = dict(
            type="CocoPanopticDataset",
            ann_file=str(coco / "annotations/panoptic_train2017.json"),
            data_prefix=dict(img=str(coco / "train2017"), seg=str(coco / "annotations/panoptic_train2017")),
        )
        if kind == "instances":
            fields = dict(
                type="CocoInstanceDataset",
                ann_file=str(coco / "annotations/instances_train2017.json"),
                data_prefix=dict(img=str(coco / "train2017")),
            )
        file = tmp_path / f"{kind}_{len(list(tmp_path.iterdir()))}.py"
        file.write_text(f"train_dataloader = dict(dataset={ {**fields, **changes}!r})\n")
        return file

    return write
