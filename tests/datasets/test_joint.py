"""Datasets merged into one label space."""

import pytest

from omgseg.datasets import CocoPanopticDataset, DAVISDataset, JointDataset, VIPSegDataset, YouTubeVISDataset

LOAD = [dict(type="LoadFrames"), dict(type="LoadSegments"), dict(type="PackClip")]


@pytest.fixture
def joint(coco_files, youtube_files, vipseg_config, davis_config):
    datasets = dict(
        coco=dict(type="CocoPanopticDataset", pipeline=LOAD, **coco_files.config),
        youtube=dict(type="YouTubeVISDataset", pipeline=LOAD, **youtube_files.config),
        vipseg=dict(type="VIPSegDataset", pipeline=LOAD, **vipseg_config),
        davis=DAVISDataset(**davis_config, pipeline=LOAD),
        unused=None,
    )
    return JointDataset(datasets, repeat=dict(youtube=4, vipseg=2))


def test_length_and_sources(joint):
    assert len(joint) == 3 + 4 * 1 + 2 * 2 + 1
    assert [joint[index]["data_samples"].source for index in range(12)] == (
        ["coco"] * 3 + ["youtube"] * 4 + ["vipseg"] * 4 + ["davis"]
    )
    assert joint[3]["data_samples"].source == "youtube"
    assert joint[9]["data_samples"].video_id == joint[7]["data_samples"].video_id == "1_a"
    with pytest.raises(IndexError):
        joint[12]


def test_labels_mean_the_same_word_everywhere(joint):
    assert joint.vocabulary.names[:2] == ["cat", "dog"]
    assert joint.metainfo["classes"] == tuple(joint.vocabulary.names)
    assert len(joint.vocabulary) == 124  # cat, dog and sky are in VIPSeg too

    def words(instances):
        return [joint.vocabulary[label].name for label in instances.labels.tolist()]

    assert words(joint[0]["data_samples"].gt_instances) == ["sky", "cat", "dog"]
    assert words(joint[3]["data_samples"].video_data_samples[2].gt_instances) == ["dog", "cat"]
    assert words(joint[7]["data_samples"].video_data_samples[0].gt_instances) == ["sky", "person"]
    assert joint[11]["data_samples"].video_data_samples[0].gt_instances.labels.tolist() == [-1, -1]


def test_groups(joint):
    sources, wide = joint.sampling_groups()
    assert sources.tolist() == [0] * 3 + [1] * 4 + [2] * 4 + [3]
    assert wide.all() and len(wide) == len(joint)


def test_a_dataset_alone_is_also_usable(coco_files, vipseg_config, youtube_files):
    for dataset in (
        CocoPanopticDataset(**coco_files.config),
        VIPSegDataset(**vipseg_config),
        YouTubeVISDataset(**youtube_files.config),
    ):
        sources, wide = dataset.sampling_groups()
        assert len(sources) == len(wide) == len(dataset) and not sources.any()


def test_wrong_arguments(coco_files):
    dataset = CocoPanopticDataset(**coco_files.config)
    with pytest.raises(ValueError, match="'vipsge'.*coco"):
        JointDataset(dict(coco=dataset), repeat=dict(vipsge=15))
    with pytest.raises(ValueError, match="at least 1"):
        JointDataset(dict(coco=dataset), repeat=dict(coco=0))
    with pytest.raises(ValueError, match="no datasets"):
        JointDataset(dict(coco=None))
