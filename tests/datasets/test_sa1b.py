"""Shards of SA-1B."""

import json

import numpy as np
import pytest
import torch

from omgseg.datasets import SA1BDataset
from omgseg.structures.run_lengths import encode_masks
from omgseg.toy.writers import write_image

LOAD = [dict(type="LoadFrames"), dict(type="LoadSegments"), dict(type="PackClip")]
HEIGHT, WIDTH = 40, 60


def square(row, column):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[row : row + 5, column : column + 5] = True
    return mask


def write_sample(shard, number, masks, height=HEIGHT, width=WIDTH):
    write_image(shard / f"sa_{number}.jpg", np.full((height, width, 3), 99, np.uint8))
    image = {"image_id": number, "width": WIDTH, "height": HEIGHT, "file_name": f"sa_{number}.jpg"}
    annotations = [
        {"id": 100 * number + index, "segmentation": encode_masks([mask])[0], "area": int(mask.sum())}
        for index, mask in enumerate(masks)
    ]
    content = {"image": image, "annotations": annotations}
    (shard / f"sa_{number}.json").write_text(json.dumps(content))
    return content


@pytest.fixture
def root(tmp_path):
    """Two shards with two and one images, of ten, none and one masks."""
    write_sample(tmp_path / "sa_000000", 1, [square(0, 5 * k) for k in range(10)])
    write_sample(tmp_path / "sa_000000", 2, [])
    write_sample(tmp_path / "sa_000001", 3, [square(9, 9)])
    return tmp_path


def build(root, **arguments):
    return SA1BDataset(data_root=str(root), data_prefix=dict(img=""), pipeline=LOAD, **arguments)


def test_masks_without_classes(root):
    dataset = build(root)
    assert len(dataset) == 3 and len(dataset.vocabulary) == 0
    sample = dataset[0]["data_samples"]
    assert (sample.img_id, sample.source, sample.tasks) == ("sa_1", "sa1b", ("interactive",))
    gt = sample.gt_instances
    assert gt.labels.tolist() == [-1] * 10 and gt.instances_ids.tolist() == list(range(100, 110))
    for k in range(10):
        assert torch.equal(gt.masks[k], torch.from_numpy(square(0, 5 * k)))
    assert [len(dataset[index]["data_samples"].gt_instances) for index in (1, 2)] == [0, 1]


def test_the_list_reads_no_masks(root):
    """Broken behind its head, a file is as good as a whole one until its sample is asked for."""
    for path in root.rglob("*.json"):
        path.write_bytes(path.read_bytes()[:100])
    dataset = build(root)
    entry = dataset.get_data_info(2)
    assert (entry["height"], entry["width"]) == (HEIGHT, WIDTH)
    assert dataset.sampling_groups()[1].tolist() == [True] * 3
    with pytest.raises(ValueError, match=r"sa_000000/sa_1.json is not valid JSON .* download it again"):
        dataset[0]


def test_the_size_of_an_image_whose_file_says_it_later(root):
    path = root / "sa_000001/sa_3.json"
    path.write_text(json.dumps(dict(reversed(json.loads(path.read_text()).items()), note="x" * 300)))
    entry = build(root).get_data_info(2)
    assert (entry["height"], entry["width"]) == (HEIGHT, WIDTH)


def test_not_more_masks_than_asked_for(root):
    dataset = build(root, max_masks=4)
    seen = set()
    for seed in range(5):
        np.random.seed(seed)
        gt = dataset[0]["data_samples"].gt_instances
        assert len(gt) == 4 and gt.instances_ids.tolist() == sorted(gt.instances_ids.tolist())
        seen |= set(gt.instances_ids.tolist())
    assert len(seen) > 4
    assert len(dataset[2]["data_samples"].gt_instances) == 1


def test_a_choice_of_shards(root):
    (root / "shards.txt").write_text("sa_000001\n")
    dataset = build(root, ann_file="shards.txt")
    assert [dataset.get_data_info(i)["frames"][0]["img_id"] for i in range(len(dataset))] == ["sa_3"]
    (root / "shards.txt").write_text("sa_000001\nsa_000009\n")
    with pytest.raises(FileNotFoundError, match=r"sa_000009 not found; see data/README.md#sa-1b"):
        build(root, ann_file="shards.txt")
    (root / "shards.txt").write_text("\n")
    with pytest.raises(ValueError, match=r"shards.txt lists no shards"):
        build(root, ann_file="shards.txt")


def test_missing_files(root, tmp_path):
    (root / "sa_000000/sa_2.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"sa_2.json not found, the masks of sa_2.jpg; see .*#sa-1b"):
        build(root)
    (root / "empty/sa_000000").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match=r"sa_000000 has no images"):
        build(root / "empty")
    with pytest.raises(FileNotFoundError, match=r"has no folder sa_000000"):
        build(root / "sa_000001")


def test_masks_of_another_image(root):
    write_sample(root / "sa_000001", 3, [square(9, 9)], height=20, width=20)
    with pytest.raises(
        ValueError, match=r"sa_3.json, annotation 300: the mask is 60x40, its image .* is 20x20"
    ):
        build(root)[2]


def test_prompts_of_the_shipped_config(root, monkeypatch):
    from pathlib import Path

    from mmengine.config import Config

    from omgseg.registry import DATASETS

    write_sample(root / "sa_000001", 3, [square(5 * (k // 12), 5 * (k % 12)) for k in range(96)])
    monkeypatch.setenv("OMGSEG_DATA", str(root.parent))
    config = Config.fromfile(Path(__file__).parents[2] / "configs/_base_/datasets/sa1b.py").sa1b_train
    config.update(data_root=str(root), image_size=(96, 96))
    dataset = DATASETS.build(config)
    np.random.seed(0)
    data = dataset[2]
    sample = data["data_samples"]
    assert 0 < len(sample.prompts) == len(sample.gt_instances) <= 20
    assert max(data["inputs"].shape) <= 96


def test_seeded_masks_are_those_of_the_published_evaluation(root):
    """With replacement, by the number of the image; images with fewer masks keep theirs."""
    dataset = build(root, max_masks=4, seeded_masks=True, test_mode=True)
    torch.manual_seed(0)  # the number of the image
    want = (100 + torch.randint(0, 10, (4,))).tolist()
    for _ in range(2):
        sample = dataset[0]["data_samples"]
        assert sample.gt_instances.instances_ids.tolist() == want and sample.sample_idx == 0
    assert len(dataset[2]["data_samples"].gt_instances) == 1
