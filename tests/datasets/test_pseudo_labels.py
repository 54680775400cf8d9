"""A model's labels as training data: from the command line to the targets of the losses.

The fake model finds red (score 0.9), blue (0.6) and yellow (0.2) squares as things, white (0.95) as stuff.
"""

import json
import math

import numpy as np
import pytest
import torch
from PIL import Image

from omgseg.cli.main import main
from omgseg.datasets import (
    CocoInstanceDataset,
    CocoPanopticDataset,
    JointDataset,
    VIPSegDataset,
    YouTubeVISDataset,
)
from omgseg.datasets.checking import DatasetFiles, check_sources
from omgseg.models.geometry import frames_of
from omgseg.models.mask_queries.losses import clip_targets
from tests.fakes import colour_map, picture, write_config

LOAD = [dict(type="LoadFrames"), dict(type="LoadSegments"), dict(type="PackClip")]
HEIGHT, WIDTH = 60, 80
RED, BLUE, YELLOW, WHITE = ((name, *place) for name, place in (
    ("red", (5, 5, 25, 25)),
    ("blue", (30, 5, 55, 30)),
    ("yellow", (30, 40, 55, 70)),
    ("white", (0, 40, 10, 80)),
))  # fmt: skip
TRUST = dict(min_score=0.3, sure_score=0.7)


def colours(image, *names):
    """Where an image (H, W, 3) has one of the colours: bool (H, W)."""
    known = ["red", "green", "blue", "yellow", "white"]
    return torch.from_numpy(np.isin(colour_map(np.asarray(image)), [known.index(name) for name in names]))


@pytest.fixture
def label(tmp_path, monkeypatch):
    """``label(*arguments)`` runs a command of omgseg with the fake model in a folder of two photos."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for name in ("a", "b"):
        Image.fromarray(picture(HEIGHT, WIDTH, RED, BLUE, YELLOW, WHITE)).save(
            tmp_path / f"photos/{name}.png"
        )
    config = write_config(tmp_path / "fake.py")
    model = ["--config", str(config), "--weights", "none", "--device", "cpu", "--min-score", "0"]
    return lambda *arguments: main([*arguments, *model])


@pytest.fixture
def instances(label):
    assert label("label", "photos", "--out", "out/coco.json") == 0
    return dict(ann_file="out/coco.json", data_prefix=dict(img="photos/"), pseudo_labels=TRUST)


@pytest.fixture
def panoptic(label):
    assert label("label", "photos", "--out", "out/panoptic.json", "--format", "panoptic") == 0
    return dict(
        ann_file="out/panoptic.json",
        data_prefix=dict(img="photos/", seg="out/panoptic/"),
        pseudo_labels=TRUST,
    )


@pytest.fixture
def tracks(label):
    assert label("label", "photos", "--out", "out/youtube-vis.json", "--format", "youtube-vis") == 0
    return dict(ann_file="out/youtube-vis.json", data_prefix=dict(img=""), pseudo_labels=TRUST)


def targets_of(data, size=(64, 96)):
    """The targets of a sample, and its first frame (H, W, 3)."""
    return clip_targets(data["data_samples"], size), data["inputs"][0].permute(1, 2, 0)


def test_instances_become_weights_and_ignored_pixels(instances, coco_files):
    """The unsure blue square is ignored; the yellow one is too bad to count."""
    people = CocoPanopticDataset(**coco_files.config, pipeline=LOAD)
    model = CocoInstanceDataset(**instances, pipeline=LOAD, source="pseudo_labels")
    joint = JointDataset(dict(people=people, model=model))
    targets, image = targets_of(joint[len(people)])
    assert [joint.vocabulary.names[label] for label in targets.labels.tolist()] == ["red"]
    assert torch.equal(targets.weights, torch.tensor([0.9]))
    assert torch.equal(targets.masks[0, 0, :HEIGHT, :WIDTH], colours(image, "red"))
    assert torch.equal(targets.ignored[0, :HEIGHT, :WIDTH], colours(image, "blue"))
    assert not targets.ignored[:, HEIGHT:].any() and not targets.ignored[:, :, WIDTH:].any()
    by_people, _ = targets_of(joint[0])
    assert by_people.weights is None and by_people.ignored is None


def test_a_sure_segment_is_not_ignored_where_an_unsure_one_covers_it(instances):
    content = json.loads(open("out/coco.json").read())
    red, blue = content["annotations"][:2]
    assert red["score"] == 0.9 and blue["score"] == 0.6
    blue["segmentation"] = [[0, 0, WIDTH, 0, WIDTH, HEIGHT, 0, HEIGHT]]
    open("out/coco.json", "w").write(json.dumps(content))
    targets, _ = targets_of(CocoInstanceDataset(**instances, pipeline=LOAD)[0], (HEIGHT, WIDTH))
    assert torch.equal(targets.ignored, ~targets.masks[0])


def test_of_panoptic_maps_everything_unsure_is_ignored(panoptic):
    targets, image = targets_of(CocoPanopticDataset(**panoptic, pipeline=LOAD)[0], (HEIGHT, WIDTH))
    assert sorted(targets.weights.tolist()) == pytest.approx([0.9, 0.95])
    assert torch.equal(targets.ignored[0], ~colours(image, "red", "white"))
    assert torch.equal(targets.masks.any(0), ~targets.ignored)


def test_tracks_have_one_score_and_ignored_pixels_in_each_frame(tracks):
    pipeline = [dict(type="SampleFrames", num_frames=2), *LOAD]
    targets, image = targets_of(YouTubeVISDataset(**tracks, pipeline=pipeline)[0], (HEIGHT, WIDTH))
    assert targets.weights.tolist() == pytest.approx([0.9]) and targets.masks.shape[:2] == (1, 2)
    assert torch.equal(targets.ignored, colours(image, "blue").expand(2, -1, -1))


@pytest.mark.parametrize("views", [False, True])
def test_ignored_pixels_and_weights_go_with_the_image(panoptic, views):
    """Through resizing, cropping, flipping and padding; also of an image's views."""
    changes = [dict(type="LargeScaleJitter", ratio_range=(0.5, 1.5)), dict(type="RandomFlip")]
    steps = [dict(type="PseudoClip", num_frames=2, transforms=changes)] if views else changes
    dataset = CocoPanopticDataset(
        **panoptic, pipeline=[*LOAD[:2], *steps, LOAD[2]], image_size=(WIDTH, HEIGHT)
    )
    score_of = {"red": 0.9, "white": 0.95}
    np.random.seed(0)
    for _ in range(10):
        data = dataset[0]
        for image, frame in zip(data["inputs"], frames_of(data["data_samples"]), strict=True):
            names = [dataset.vocabulary.names[label] for label in frame.gt_instances.labels.tolist()]
            assert frame.gt_instances.scores.tolist() == pytest.approx([score_of[name] for name in names])
            ignored = frame.ignored_instances.masks
            assert ignored.shape == (1, *frame.img_shape) and ignored.dtype == torch.bool
            image = image.permute(1, 2, 0)
            assert not (ignored & frame.gt_instances.masks).any()
            assert (colours(image, "blue", "yellow") & ~ignored).float().mean() < 0.02
            assert (colours(image, "red", "white") & ignored).float().mean() < 0.02


def test_prompts_keep_their_weights(panoptic):
    steps = [*LOAD[:2], dict(type="SamplePrompts", max_prompts=5, repeat=True), LOAD[2]]
    truth = CocoPanopticDataset(**panoptic, pipeline=steps)[0]["data_samples"].gt_instances
    assert len(truth) == 5
    first = [truth.scores[(truth.masks == mask).all(-1).all(-1)] for mask in truth.masks]
    assert all((scores == score).all() for scores, score in zip(first, truth.scores, strict=True))


DATASETS_OF = dict(instances=CocoInstanceDataset, panoptic=CocoPanopticDataset, tracks=YouTubeVISDataset)


@pytest.mark.parametrize("kind", DATASETS_OF)
@pytest.mark.parametrize("score", ["gone", None, "high", True, -0.1, 1.5, math.nan])
def test_a_score_that_is_none(kind, score, request):
    fields = request.getfixturevalue(kind)
    with open(fields["ann_file"]) as file:
        content = json.load(file)
    entry = content["annotations"][0]
    segment = entry["segments_info"][0] if kind == "panoptic" else entry
    segment["score"] = score
    if score == "gone":
        del segment["score"]
    with open(fields["ann_file"], "w") as file:
        json.dump(content, file)
    found = "there is no 'score'" if score == "gone" else f"'score' is {score!r}"
    place = "segment 1 of image 1" if kind == "panoptic" else "annotation 1"
    with pytest.raises(ValueError) as error:
        DATASETS_OF[kind](**fields)
    text = str(error.value)
    assert fields["ann_file"] in text and f"{place}: {found}, pseudo labels need a number from 0 to 1" in text
    source = DatasetFiles("model", dict(type=DATASETS_OF[kind].__name__, **fields))
    (report,) = check_sources([source], workers=0, progress=False).sources
    assert any(text in problem for problems in report.problems.values() for problem in problems)
    DATASETS_OF[kind](**{**fields, "pseudo_labels": None})


@pytest.mark.parametrize(
    ("trust", "message"),
    [
        (dict(min_score=0.5), r"pseudo_labels has 'sure_score'.* not \{'min_score': 0.5\}"),
        (dict(sure_score=0.5, weight=1), "pseudo_labels has 'sure_score'"),
        (dict(sure_score=0.5, min_score=0.6), "0 <= min_score <= sure_score <= 1"),
        (dict(sure_score=math.nan), "0 <= min_score <= sure_score <= 1"),
    ],
)
def test_wrong_arguments(files, trust, message):
    with pytest.raises(ValueError, match=message):
        CocoInstanceDataset(**files.config, pseudo_labels=trust)


def test_a_format_without_scores(vipseg_config):
    with pytest.raises(ValueError, match="VIPSegDataset: its format has no scores"):
        VIPSegDataset(**vipseg_config, pseudo_labels=TRUST)
