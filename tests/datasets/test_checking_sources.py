"""Which datasets of a config are checked, and that shared files are checked once."""

import shutil

import pytest

from omgseg.datasets.checking import UsageError, check_sources, find_sources


def test_datasets_of_the_same_files_are_checked_once(coco_files, vipseg_config):
    coco = dict(type="CocoPanopticDataset", **coco_files.config)
    prompts = dict(coco, type="CocoPromptDataset")
    joint = dict(
        prompts=prompts, pairs=coco, coco=coco, vipseg=dict(type="VIPSegDataset", **vipseg_config), gone=None
    )
    config = dict(
        train_dataloader=dict(dataset=dict(type="JointDataset", datasets=joint)), test_dataloader=None
    )
    report = check_sources(find_sources(config), workers=0, progress=False)
    assert [source.names for source in report.sources] == [["pairs", "coco", "prompts"], ["vipseg"]]
    assert [source.checked for source in report.sources] == [3, 2] and report.num_problems == 0
    joint["coco"] = dict(coco, data_prefix=dict(coco["data_prefix"], img="photos"))  # not the same images
    report = check_sources(find_sources(config), workers=0, progress=False)
    assert [source.names for source in report.sources] == [["pairs", "prompts"], ["coco"], ["vipseg"]]
    assert report.sources[1].lines(show=5)[1:] == [
        "  missing file or folder: 1",
        f"    folder {coco_files.root}/photos not found; see data/README.md#coco (4 times)",
    ]


def test_files_of_metrics_are_checked_too(coco_files, tmp_path):
    other = type(coco_files)(tmp_path / "other", [(40, 60)] * 2)
    (other.root / "panoptic/001.png").unlink()
    shutil.rmtree(other.root / "images")  # the images are the dataset's
    config = dict(
        x_test_dataloader=dict(dataset=dict(type="CocoPanopticDataset", test_mode=True, **coco_files.config)),
        x_evaluator=[
            dict(
                type="CocoPanopticMetric",
                ann_file=str(other.root / "panoptic.json"),
                seg_prefix=str(other.root / "panoptic"),
            ),
            dict(type="SemanticMetric", seg_prefix=str(tmp_path / "maps")),
        ],
    )
    report = check_sources(find_sources(config), workers=0, progress=False)
    assert [source.names for source in report.sources] == [["coco_panoptic"], ["CocoPanopticMetric"]]
    assert [source.num_problems for source in report.sources] == [1, 1]
    assert f"{tmp_path}/maps not found, a metric of the config needs it" in report.lines(show=1)[2]
    own = {"seg_prefix": f"{coco_files.root}/panoptic/", "ann_file": f"{coco_files.root}/panoptic.json"}
    config["x_evaluator"][0].update(own)
    (only,) = check_sources(find_sources(config), workers=0, progress=False).sources
    assert only.names == ["coco_panoptic", "CocoPanopticMetric"]


def test_which_datasets_a_config_names(coco_files):
    def loader(source):
        return dict(dataset=dict(type="CocoPanopticDataset", source=source))

    config = dict(
        test_dataloader=loader("test"), val_dataloader=loader("val"), train_dataloader=loader("train")
    )
    assert [source.name for source in find_sources(config)] == ["test"]
    assert [source.name for source in find_sources(config, "train")] == ["train"]
    base = dict(a_test_dataloader=loader("a"), b_test_dataloader=loader("b"), b_train=loader("c")["dataset"])
    assert [source.name for source in find_sources(base)] == ["a", "b"]
    assert [source.name for source in find_sources(base, name="b")] == ["b"]
    assert [source.name for source in find_sources(base, "train")] == ["c"]
    with pytest.raises(UsageError, match="no test_dataloader, val_dataloader or train_dataloader"):
        find_sources(dict(model=dict()))
    with pytest.raises(UsageError, match="'mmdet.CocoDataset' is not a dataset of this package"):
        find_sources(dict(test_dataloader=dict(dataset=dict(type="mmdet.CocoDataset"))))
