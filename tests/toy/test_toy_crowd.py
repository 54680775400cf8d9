"""Crowded images of the toy world, in CrowdHuman's format."""

import json

import numpy as np
import pytest

from omgseg.toy.annotation import MIN_VISIBLE
from omgseg.toy.generate import generate, generate_crowd
from omgseg.toy.world import CROWD, SIZE, Scene, World, render


@pytest.fixture(scope="module")
def scenes():
    world = World(np.random.default_rng(0))
    return [world.crowd_scene() for _ in range(12)]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return generate_crowd(tmp_path_factory.mktemp("crowd") / "crowd", seed=3, train_images=3, val_images=2)


def entries(root, split):
    return [json.loads(line) for line in (root / f"annotation_{split}.odgt").read_text().splitlines()]


def test_the_box_of_a_shape_holds_it_tightly(scenes):
    """Of every thing alone; where it is cut by the picture's edge, the box goes on."""
    sides = set()
    for scene in scenes:
        for thing in scene.things:
            alone = Scene((thing,), scene.background, scene.stuff, scene.pan_start, scene.pan, 1.0, 0)
            rows, columns = np.nonzero(render(alone).thing == 0)
            box = np.array(thing.box())
            inside = box.clip(0, SIZE)
            seen = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
            assert (np.abs(seen - inside) <= 1.5).all()
            sides.add(thing.sides)
    assert sides == {0, 3, 4, 5, 6}


def test_things_stand_close_to_each_other(scenes):
    pairs = 0
    for scene in scenes:
        assert CROWD[0] <= len(scene.things) <= CROWD[1]
        boxes = np.array([thing.box() for thing in scene.things])
        low, high = (
            np.maximum(boxes[:, None, :2], boxes[:, :2]),
            np.minimum(boxes[:, None, 2:], boxes[:, 2:]),
        )
        both, areas = (high - low).clip(0).prod(-1), (boxes[:, 2:] - boxes[:, :2]).prod(1)
        pairs += (np.triu(both / (areas[:, None] + areas - both), 1) > 0.5).sum()
    assert pairs > 2 * len(scenes)


def test_the_files_say_what_is_seen_and_what_is_whole(root):
    for split, count in (("train", 3), ("val", 2)):
        found = entries(root, split)
        assert len(found) == count and all((root / "Images" / f"{one['ID']}.jpg").is_file() for one in found)
    people = [box for one in entries(root, "train") + entries(root, "val") for box in one["gtboxes"]]
    full, seen = (np.array([box[name] for box in people], float) for name in ("fbox", "vbox"))
    full[:, 2:] += full[:, :2]
    seen[:, 2:] += seen[:, :2]
    assert (seen[:, :2] >= full[:, :2] - 1.5).all() and (seen[:, 2:] <= full[:, 2:] + 1.5).all()
    assert (seen >= 0).all() and (seen <= SIZE).all()
    hidden = (seen[:, 2:] - seen[:, :2]).prod(1) / (full[:, 2:] - full[:, :2]).prod(1)
    assert (hidden < 0.8).mean() > 0.1
    assert all(
        box["vbox"][2] * box["vbox"][3] >= MIN_VISIBLE for box in people if "ignore" not in box["extra"]
    )


def test_equal_seeds_give_equal_files_and_other_folders_are_left_alone(root, tmp_path):
    again = generate_crowd(tmp_path / "again", seed=3, train_images=3, val_images=2)
    for file in sorted(path for path in root.rglob("*") if path.is_file()):
        assert file.read_bytes() == (again / file.relative_to(root)).read_bytes()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "photo.jpg").write_text("precious")
    with pytest.raises(FileExistsError, match="not toy data"):
        generate_crowd(tmp_path / "mine")
    with pytest.raises(FileExistsError, match="not toy data"):
        generate(tmp_path / "mine")
