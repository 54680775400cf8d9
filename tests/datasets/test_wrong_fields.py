"""Fields of annotation files that hold anything: an error with file and annotation, or a problem of the checker."""

import json

import pytest

from omgseg.datasets import CocoInstanceDataset, CocoPanopticDataset, YouTubeVISDataset
from omgseg.datasets.checking import DatasetFiles as Source
from omgseg.datasets.checking import check_sources

LOAD = [dict(type="LoadFrames"), dict(type="LoadSegments"), dict(type="PackClip")]
BROKEN = {
    "far point": [[0, 0, 1e8, 0, 0, 9]],
    "counts too short": {"size": [40, 60], "counts": [100, 20]},
    "compressed counts of another size": {"size": [40, 60], "counts": "0T1"},
}


def problems_of(type, config):
    (report,) = check_sources([Source("own", {"type": type, **config})], workers=0, progress=False).sources
    return [text for texts in report.problems.values() for text in texts]


@pytest.mark.parametrize("segmentation", BROKEN.values(), ids=BROKEN)
def test_a_broken_segmentation_of_an_image(files, segmentation):
    files.content["annotations"][0]["segmentation"] = segmentation
    files.write()
    with pytest.raises(
        ValueError, match=r"instances.json, annotation 11: 'segmentation' is neither polygons"
    ):
        CocoInstanceDataset(**files.config, pipeline=LOAD)[0]
    (text,) = (text for text in problems_of("CocoInstanceDataset", files.config) if "annotation 11" in text)
    assert "instances.json, annotation 11: 'segmentation' is neither polygons" in text


@pytest.mark.parametrize("segmentation", BROKEN.values(), ids=BROKEN)
def test_a_broken_segmentation_of_a_track(youtube_files, segmentation):
    track = youtube_files.content["annotations"][0]
    track["segmentations"][0] = segmentation
    youtube_files.write()
    with pytest.raises(ValueError, match=rf"annotation {track['id']}: 'segmentation' is neither polygons"):
        YouTubeVISDataset(**youtube_files.config)
    texts = problems_of("YouTubeVISDataset", youtube_files.config)
    assert any(f"annotation {track['id']}: 'segmentation' is neither" in text for text in texts)


def test_a_polygon_may_leave_its_picture_a_little(files):
    files.content["annotations"][0]["segmentation"] = [[-500, -500, 700, -500, 700, 700, -500, 700]]
    files.write()
    gt = CocoInstanceDataset(**files.config, pipeline=LOAD)[0]["data_samples"].gt_instances
    assert gt.masks[0].all()


def fields_of(node, path=()):
    """Places in a file: of each list the first entry."""
    steps = (
        node.items()
        if isinstance(node, dict)
        else list(enumerate(node))[:1]
        if isinstance(node, list)
        else ()
    )
    for key, value in steps:
        yield (*path, key)
        yield from fields_of(value, (*path, key))


def mutants(content):
    text = json.dumps(content)
    for place in fields_of(content):
        for value in (None, "x", {}, 2**70):
            mutant = node = json.loads(text)
            for key in place[:-1]:
                node = node[key]
            node[place[-1]] = value
            yield place, value, mutant
    for place in fields_of(content):
        mutant = node = json.loads(text)
        for key in place[:-1]:
            node = node[key]
        del node[place[-1]]
        yield place, "deleted", mutant


@pytest.mark.parametrize(
    ("dataset", "fixture"),
    [
        (CocoPanopticDataset, "coco_files"),
        (CocoInstanceDataset, "files"),
        (YouTubeVISDataset, "youtube_files"),
    ],
)
def test_every_error_and_every_problem_names_its_file(dataset, fixture, request):
    files = request.getfixturevalue(fixture)
    path = files.root / files.config["ann_file"]
    content = json.loads(path.read_text())
    wrong = []
    for place, value, mutant in mutants(content):
        path.write_text(json.dumps(mutant))
        try:
            adapter = dataset(**files.config, pipeline=LOAD)
            adapter.sampling_groups()
            adapter[0]
        except Exception as error:
            if not (isinstance(error, ValueError | OSError) and str(files.root) in str(error)):
                wrong.append((place, value, repr(error)))
        wrong += [
            (place, value, text)
            for text in problems_of(dataset.__name__, files.config)
            if str(files.root) not in text
        ]
    assert not wrong


def test_a_wrong_category_is_named_with_its_file(files):
    files.content["categories"][0]["color"] = "../red"  # the path in it is not the file's
    files.write()
    with pytest.raises(ValueError, match=r"instances.json: category 'cat': 'color' is '../red'"):
        CocoInstanceDataset(**files.config).full_init()


def test_the_checker_goes_on_without_an_annotation_whose_box_is_wrong(files):
    files.content["annotations"][0]["bbox"] = float("inf")
    files.write()
    (text,) = (
        text
        for text in problems_of("CocoInstanceDataset", {**files.config, "test_mode": True})
        if "'bbox'" in text
    )
    assert "instances.json, annotation 11: 'bbox' is inf" in text


@pytest.mark.parametrize(
    ("dataset", "fixture"),
    [
        (CocoPanopticDataset, "coco_files"),
        (CocoInstanceDataset, "files"),
        (YouTubeVISDataset, "youtube_files"),
    ],
)
@pytest.mark.parametrize("annotations", ["", {}, 0])
def test_annotations_that_are_no_list_are_no_test_split(dataset, fixture, annotations, request):
    files = request.getfixturevalue(fixture)
    path = files.root / files.config["ann_file"]
    path.write_text(json.dumps({**json.loads(path.read_text()), "annotations": annotations}))
    with pytest.raises(ValueError, match=rf"{path.name}: 'annotations' is .*, not a list"):
        dataset(**files.config, test_mode=True).full_init()
