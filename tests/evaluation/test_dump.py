"""What is written of a sample is what is read, without pickles."""

import io
import json
import zipfile

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData, PixelData
from pycocotools import mask as coco_mask

from omgseg.evaluation.dump import Manifest, read_sample, sample_file, write_sample
from omgseg.structures import Vocabulary


@pytest.fixture
def rich_sample(make_sample):
    """An image's sample with all kinds of values."""
    rng = np.random.default_rng(0)
    sample = make_sample(
        {"pred_panoptic_seg": rng.integers(0, 5, (9, 7)).astype(np.int32) * 131_007},
        img_id="aachen/000 1",
        ori_shape=(9, 7),
        scale_factor=(0.1, 2 / 3),
        flip=False,
        seg_map_path=None,
        segments_info=[{"id": np.int64(5), "area": 2**40, "iscrowd": 0}],
    )
    sample.pred_instances = InstanceData(
        masks=torch.from_numpy(rng.random((3, 9, 7)) > 0.5),
        labels=torch.tensor([2, 0, 700]),
        scores=torch.from_numpy(rng.random(3).astype(np.float32)),
        bboxes=torch.from_numpy(rng.normal(size=(3, 4)).astype(np.float32)),
    )
    sample.pred_clicks = InstanceData(masks=torch.from_numpy(rng.random((3, 2, 9, 7)) > 0.5))
    sample.gt_instances = InstanceData(masks=torch.zeros(0, 9, 7, dtype=torch.bool))
    sample.pred_sem_seg = PixelData(sem_seg=torch.full((1, 9, 7), -1))
    return sample


def assert_same(read, written):
    if isinstance(written, dict):
        assert read.keys() == written.keys()
        for name in written:
            assert_same(read[name], written[name])
    elif isinstance(written, (list, tuple)):
        assert len(read) == len(written)
        for pair in zip(read, written, strict=True):
            assert_same(*pair)
    elif isinstance(written, torch.Tensor):
        assert read.dtype == written.numpy().dtype and read.shape == tuple(written.shape)
        np.testing.assert_array_equal(read, written.numpy())
    else:
        assert read == written


def test_everything_comes_back(rich_sample, tmp_path):
    sample = rich_sample.to_dict()
    path = write_sample(tmp_path, sample)
    assert path == sample_file(tmp_path, "aachen/000 1") and path.parent == tmp_path / "samples"
    assert_same(read_sample(tmp_path, "aachen/000 1"), sample)
    assert [file.name for file in path.parent.iterdir()] == [path.name], "temporary files must not stay"


def test_videos_come_back(rich_sample, make_video, tmp_path):
    masks = [coco_mask.encode(np.asfortranarray(np.eye(4, dtype=np.uint8))), None]
    rich_sample.pred_track_instances = InstanceData(instances_id=torch.tensor([4, 1]), masks=masks)
    video = make_video([rich_sample] * 2, video_id=7)
    write_sample(tmp_path, video.to_dict())
    read = read_sample(tmp_path, 7)
    assert_same(read["video_data_samples"], [rich_sample.to_dict()] * 2)
    assert read["video_data_samples"][1]["pred_track_instances"]["masks"] == masks


def test_files_are_small_and_need_no_pickle(make_sample, tmp_path):
    values = np.repeat(np.arange(480, dtype=np.int32)[:, None], 640, axis=1)
    path = write_sample(tmp_path, make_sample({"pred_panoptic_seg": values}, img_id=1).to_dict())
    assert path.stat().st_size < 10_000
    with np.load(path, allow_pickle=False) as arrays:
        assert sum(array.nbytes for array in arrays.values()) < 480 * 640 * 2 + 1000


def test_a_value_that_cannot_be_written(make_sample, tmp_path):
    with pytest.raises(TypeError, match=r"sample 1\.odd: a set cannot be written"):
        write_sample(tmp_path, make_sample(img_id=1, odd={3}).to_dict())
    with pytest.raises(TypeError, match=r"sample 1\.odd: an array of Python objects cannot be written"):
        write_sample(tmp_path, make_sample(img_id=1, odd=np.array([{}])).to_dict())
    assert not (tmp_path / "samples").exists()


def test_damaged_files(make_sample, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"1\.npz \(predictions of 1\) not found"):
        read_sample(tmp_path, 1)
    path = write_sample(tmp_path, make_sample(img_id=1).to_dict())
    data = path.read_bytes()
    for broken in (data[: len(data) // 2], b"", b"text"):
        path.write_bytes(broken)
        with pytest.raises(ValueError, match=r"1\.npz is damaged, or not a dumped sample"):
            read_sample(tmp_path, 1)


def test_an_array_that_cannot_be_in_its_file(tmp_path):
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "<f8", "fortran_order": False, "shape": (1 << 50,)})
    sample_file(tmp_path, 1).parent.mkdir()
    with zipfile.ZipFile(sample_file(tmp_path, 1), "w") as file:
        file.writestr("structure.npy", head.getvalue())
    with pytest.raises(ValueError, match=r"1\.npz is damaged, or not a dumped sample"):
        read_sample(tmp_path, 1)


def test_manifest(tmp_path):
    manifest = Manifest(
        "a.py", "w.pth", Vocabulary.from_names(["cat"]).to_dict(), [3, 1], {"img": "data/img"}
    )
    manifest.write(tmp_path / "new")
    assert Manifest.read(tmp_path / "new") == manifest
    with pytest.raises(FileExistsError, match="new already holds predictions.*choose another folder"):
        manifest.write(tmp_path / "new")
    with pytest.raises(FileNotFoundError, match=r"manifest\.json not found; tools/test\.py --dump"):
        Manifest.read(tmp_path)
    for text in ("{", json.dumps({"config": "a.py"}), "[]"):
        (tmp_path / "manifest.json").write_text(text)
        with pytest.raises(ValueError, match=r"manifest\.json is not a manifest of dumped predictions"):
            Manifest.read(tmp_path)
