"""The shipped dataset configs, moved to tiny or real data by changing paths and sizes only."""

from pathlib import Path

import pytest
import torch
from mmdet.structures import TrackDataSample
from mmengine.config import Config
from mmengine.runner import Runner

from omgseg.registry import DATASETS

CONFIGS = Path(__file__).parents[2] / "configs/_base_/datasets"


def derived(tmp_path, base, text):
    (tmp_path / "derived.py").write_text(f"_base_ = [{str(CONFIGS / base)!r}]\n{text}")
    return Config.fromfile(tmp_path / "derived.py")


@pytest.fixture
def joint_config(tmp_path, coco_files, youtube_files, vipseg_config):
    coco = dict(**coco_files.config, image_size=(64, 48), vocabulary=None)
    prompts = {key: value for key, value in coco.items() if key != "vocabulary"}
    sources = dict(
        coco_panoptic=coco,
        coco_pseudo_clips=coco,
        coco_prompts=prompts,
        vipseg=dict(**vipseg_config, image_size=(64, 48)),
        youtube_vis_2019=dict(**youtube_files.config, image_size=(64, 48), vocabulary=None),
    )
    override = dict(dataset=dict(datasets=sources, repeat=dict(vipseg=2, youtube_vis_2019=3)))
    override.update(num_workers=2, persistent_workers=False, batch_size=2)
    return derived(tmp_path, "joint_coco_vipseg_ytvis.py", f"train_dataloader = {override!r}")


def test_the_joint_mix_loads_in_worker_processes(joint_config):
    config = dict(joint_config.train_dataloader)
    config["sampler"] = dict(type="DefaultSampler", shuffle=True)
    config["batch_sampler"] = dict(type="omgseg.SourceBatchSampler")
    config["dataset"]["type"] = "omgseg.JointDataset"
    loader = Runner.build_dataloader(config, seed=0)
    assert len(loader.dataset) == 3 * 3 + 2 * 2 + 3
    kinds = {}
    for batch in loader:
        samples = batch["data_samples"]
        assert len({sample.source for sample in samples}) == 1 and len(batch["inputs"]) == 2
        kinds.setdefault(samples[0].source, []).extend(zip(batch["inputs"], samples))
    assert set(kinds) == {"coco_panoptic", "coco_pseudo_clips", "coco_prompts", "vipseg", "youtube_vis_2019"}
    for source, pairs in kinds.items():
        for image, sample in pairs:
            clip = isinstance(sample, TrackDataSample)
            assert clip == (source in ("coco_pseudo_clips", "vipseg", "youtube_vis_2019"))
            frames = sample.video_data_samples if clip else [sample]
            assert len(image) == len(frames) == 1 + clip and image.dtype == torch.uint8
            for frame in frames:
                assert frame.gt_instances.masks.shape == (len(frame.gt_instances), *image.shape[2:])
            if source == "coco_prompts":
                assert len(sample.prompts) == len(sample.gt_instances)
                assert (sample.gt_instances.labels == -1).all()


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("coco_panoptic", "coco"),
        ("coco_prompts", "coco"),
        ("youtube_vis_2019", "youtube_vis_2019"),
        ("davis17", "DAVIS"),
    ],
)
def test_test_configs_on_real_samples(real_samples_dir, name, folder):
    config = Config.fromfile(CONFIGS / f"{name}.py")[f"{name}_test_dataloader"].dataset
    config.data_root = str(real_samples_dir / folder)
    dataset = DATASETS.build(config)
    data = dataset[0]
    sample = data["data_samples"]
    frames = sample.video_data_samples if isinstance(sample, TrackDataSample) else [sample]
    assert data["inputs"].shape == (len(frames), 3, *sample.img_shape)
    assert min(sample.img_shape) in (719, 720, 800) or max(sample.img_shape) in (1280, 1333)
    assert ("gt_instances" in frames[0]) == (name in ("coco_prompts", "davis17"))


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.py")), ids=lambda path: path.stem)
def test_every_config_names_existing_parts(path):
    """Building stops at the missing data, not before."""
    config = Config.fromfile(path)
    datasets = [value for key, value in config.items() if key.endswith("_train")]
    datasets += [value.dataset for key, value in config.items() if key.endswith("_dataloader")]
    assert datasets
    for dataset in datasets:
        if dataset.type != "JointDataset":
            dataset.data_root = "/nowhere/"
            with pytest.raises(FileNotFoundError, match=r"/nowhere.* not found; see data/README.md#"):
                DATASETS.build(dataset)


def test_the_errors_point_to_headings_that_exist():
    readme = (CONFIGS.parents[2] / "data/README.md").read_text().splitlines()
    anchors = {line[3:].lower().replace(" ", "-") for line in readme if line.startswith("## ")}
    from omgseg import datasets

    adapters = [getattr(datasets, name) for name in datasets.__all__ if name.endswith("Dataset")]
    used = {adapter.README_ANCHOR for adapter in adapters if hasattr(adapter, "README_ANCHOR")}
    assert {"coco", "vipseg"} <= used <= anchors
