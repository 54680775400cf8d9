"""omgseg with a model that segments what an example shows."""

import json

import numpy as np
import pytest
from PIL import Image

from tests.fakes import picture


@pytest.fixture
def example(tmp_path):
    """An image and its mask: red is 3, blue is 200."""
    image = picture(40, 50, ("red", 5, 5, 20, 20), ("blue", 25, 25, 35, 45))
    mask = np.zeros((40, 50), np.uint8)
    mask[5:20, 5:20], mask[25:35, 25:45] = 3, 200
    files = [tmp_path / "example.png", tmp_path / "mask.png"]
    for file, content in zip(files, (image, mask), strict=True):
        Image.fromarray(content).save(file)
    return files


def test_predict_finds_what_an_example_shows(run, fake, photos, example, tmp_path):
    command = ["predict", photos, *fake("ExampleFake"), "--example", *example, "--format", "coco"]
    status, lines, error = run(*command, "--out", tmp_path / "out")
    assert status == 0, error
    assert lines.count("1 region 3, 1 region 200") == 3
    status, lines, error = run(*command, "--out", tmp_path / "named", "--vocabulary", "fire, sea")
    assert status == 0 and lines.count("1 fire, 1 sea") == 3
    content = json.loads((tmp_path / "named" / "coco.json").read_text())
    assert [entry["name"] for entry in content["categories"]] == ["fire", "sea"]
    assert len(content["annotations"]) == 6


def test_label_finds_what_an_example_shows(run, fake, model, photos, example, tmp_path):
    command = ["label", photos, "--task", "semantic", "--min-score", "0", "--out", tmp_path / "coco.json"]
    needing = [*fake("ExampleFake"), "--vocabulary", "fire, sea"]
    status, _, error = run(*command, *needing, "--example", *example)
    assert status == 0, error
    content = json.loads((tmp_path / "coco.json").read_text())
    assert [entry["name"] for entry in content["categories"]] == ["fire", "sea"]
    assert len(content["annotations"]) == 6
    Image.open(example[0]).rotate(90).save(example[0])
    for arguments, message in (
        ([*needing, "--example", *example], "was made with another example"),
        (needing, "give example=(image, mask), or --example IMAGE MASK"),
        ([*needing, "--example", example[0], tmp_path / "none.png"], "none.png not found"),
        ([*model, "--example", *example], "does not offer segmentation by an example"),
    ):
        status, _, error = run(*command, *arguments)
        assert status == 2 and message in error and len(error.splitlines()) == 1, error


def test_mistakes_are_one_line(run, fake, model, photos, example, tmp_path):
    needing = fake("ExampleFake")
    image, mask = example
    small, empty, broken = (tmp_path / name for name in ("small.png", "empty.png", "broken.png"))
    Image.open(mask).resize((20, 10)).save(small)
    Image.fromarray(np.zeros((40, 50), np.uint8)).save(empty)
    broken.write_bytes(b"no image")
    for arguments, message in (
        (needing, "the model segments what an example shows: give --example IMAGE MASK"),
        (
            [*needing, "--example", image, small],
            "the example's mask has the shape (10, 20), its image (40, 50)",
        ),
        ([*needing, "--example", image, empty], "the example's mask is empty"),
        ([*needing, "--example", image, broken], "broken.png is truncated or not an image"),
        ([*needing, "--example", image, tmp_path / "none.png"], "none.png not found"),
        ([*needing, "--example", image, mask, "--vocabulary", "fire"], "the vocabulary has 1 words"),
        ([*model, "--example", image, mask], "does not offer segmentation by an example"),
    ):
        status, _, error = run("predict", photos, "--out", tmp_path / "out", *arguments)
        (line,) = error.splitlines()
        assert status == 2 and line.startswith("error: ") and message in line
    assert not (tmp_path / "out").exists()


def test_what_takes_no_example_says_so(run, fake, photos, tmp_path):
    needing = fake("ExampleFake")
    status, _, error = run("web", *needing)
    assert status == 2 and "the page has nothing to show" in error
    status, lines, error = run("info", needing[1])
    assert status == 0 and "yes: needs an example image and its mask" in lines
