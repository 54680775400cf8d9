"""Augmentation moves pixels, masks and prompts together, and instance ids survive it."""

import numpy as np
import pytest
import torch
from mmdet.structures import TrackDataSample

from omgseg.datasets import CocoPanopticDataset, YouTubeVISDataset
from omgseg.datasets.transforms import (
    LargeScaleJitter,
    PackClip,
    PseudoClip,
    RandomFlip,
    Resize,
    SampleFrames,
    SamplePrompts,
)
from omgseg.datasets.transforms.geometry import resize_masks
from omgseg.structures.images import scaled_shape
from omgseg.structures.prompts import innermost_point


def make_clip(num_frames=2, height=60, width=80):
    """Objects are drawn in the colours of their ids, so that image and masks can be compared."""
    masks = np.zeros((3, num_frames, height, width), np.uint8)
    for t in range(num_frames):
        masks[0, t, 10:30, 10 + 5 * t : 30 + 5 * t] = 1
        masks[1, t, 40:55, 50:70] = 1
    masks[2, 0, :4, :4] = 1  # in the first frame only
    ids = np.array([50, 150, 250])
    imgs = [np.repeat((masks[:, t] * ids[:, None, None]).max(0)[..., None], 3, 2) for t in range(num_frames)]
    return dict(
        frames=[{"img_path": f"{t}.jpg", "img_id": 4, "frame_id": t} for t in range(num_frames)],
        imgs=[img.astype(np.uint8) for img in imgs],
        gt_masks=masks,
        gt_labels=np.array([7, 8, 9]),
        gt_instance_ids=ids,
        ori_shape=(height, width),
        img_shape=(height, width),
        scale_factor=(1.0, 1.0),
        flip=False,
        is_video=True,
        video_id=1,
        video_length=num_frames,
        tasks=("panoptic",),
        source="test",
    )


def assert_masks_follow_the_image(results):
    """Inside its mask an object has at least half the grey value of its id: bilinear and nearest resizing
    agree."""
    for row, value in enumerate(results["gt_instance_ids"]):
        for t, img in enumerate(results["imgs"]):
            assert img.shape[:2] == results["img_shape"]
            inside = img[results["gt_masks"][row, t].astype(bool)][:, 0]
            assert ((inside <= value) & (inside >= 0.45 * value)).sum() >= 0.99 * len(inside)


@pytest.mark.parametrize("seed", range(12))
def test_large_scale_jitter(seed):
    np.random.seed(seed)
    results = LargeScaleJitter((100, 100), (0.5, 3.0))(make_clip())
    assert max(results["img_shape"]) <= 100
    assert len(results["gt_labels"]) == len(results["gt_instance_ids"]) == len(results["gt_masks"])
    assert results["gt_masks"].any((1, 2, 3)).all()  # objects outside the crop are gone
    assert (
        dict(zip(results["gt_instance_ids"], results["gt_labels"])).items() <= {50: 7, 150: 8, 250: 9}.items()
    )
    assert_masks_follow_the_image(results)


def test_large_scale_jitter_takes_the_size_of_the_dataset():
    results = LargeScaleJitter(ratio_range=(4.0, 4.0))({**make_clip(), "image_size": (48, 32)})
    assert results["img_shape"] == (32, 48)
    assert results["scale_factor"] == pytest.approx((2.1333, 2.1333), abs=0.02)
    with pytest.raises(ValueError, match="image_size"):
        LargeScaleJitter()(make_clip())


def test_a_clip_whose_objects_all_left_the_crop():
    results = make_clip()
    results["gt_masks"][:, :, :40, :60] = 0
    results["gt_masks"][1] = 0
    results = LargeScaleJitter((10, 10), (1.0, 1.0))(results)
    packed = PackClip()(results)
    for frame in packed["data_samples"].video_data_samples:
        assert frame.gt_instances.masks.shape == (0, *results["img_shape"])
        assert frame.gt_instances.bboxes.shape == (0, 4) and frame.gt_instances.labels.dtype == torch.int64


def test_flip():
    clip = make_clip()
    flipped = RandomFlip(prob=1.0)(dict(clip))
    assert flipped["flip"] is True
    assert np.array_equal(flipped["gt_masks"], clip["gt_masks"][..., ::-1])
    assert np.array_equal(flipped["imgs"][1], clip["imgs"][1][:, ::-1])
    assert RandomFlip(prob=0.0)(dict(clip))["flip"] is False
    packed = PackClip()(flipped)["data_samples"].video_data_samples[0].gt_instances
    assert packed.bboxes[0].tolist() == [50, 10, 70, 30]


def test_resize_keeps_the_masks_unless_asked():
    results = Resize((40, 40))(make_clip())
    assert results["img_shape"] == (30, 40) and results["scale_factor"] == (0.5, 0.5)
    assert results["gt_masks"].shape[2:] == (60, 80)
    results = Resize((160, 30), keep_ratio=False, masks=True)(make_clip())
    assert results["img_shape"] == (30, 160) and results["scale_factor"] == (2.0, 0.5)
    assert results["gt_masks"].shape[2:] == (30, 160)
    assert_masks_follow_the_image(results)


def test_scaled_shape_is_mmcvs():
    import mmcv

    for shape in ((480, 640), (640, 480), (100, 100), (427, 640)):
        expected = mmcv.imrescale(np.zeros(shape, np.uint8), (1333, 800)).shape
        assert scaled_shape(shape, (1333, 800)) == expected


@pytest.mark.parametrize("shape", [(30, 40), (150, 90), (60, 80), (7, 200)])
def test_a_window_of_resized_masks(shape):
    masks = (np.random.default_rng(0).random((4, 2, 60, 80)) < 0.3).astype(np.uint8)
    whole = resize_masks(masks, shape)
    assert whole.shape == (4, 2, *shape)
    window = (slice(2, 6), slice(5, 30))
    assert np.array_equal(resize_masks(masks, shape, window), whole[:, :, 2:6, 5:30])
    if shape == (60, 80):
        assert np.array_equal(whole, masks)


def test_sample_frames():
    video = [{"frame_id": t} for t in range(10)]
    gaps, starts = set(), set()
    for seed in range(60):
        np.random.seed(seed)
        ids = [f["frame_id"] for f in SampleFrames(num_frames=3, interval=3)({"frames": video})["frames"]]
        assert ids[1] - ids[0] == ids[2] - ids[1]
        gaps.add(ids[1] - ids[0])
        starts.add(ids[0])
    assert gaps == {1, 2, 3} and {0, 7} <= starts


@pytest.mark.parametrize(("length", "expected"), [(1, [0, 0, 0]), (2, [0, 1, 1]), (3, [0, 1, 2])])
def test_sample_frames_of_a_short_video(length, expected):
    frames = SampleFrames(num_frames=3, interval=2)({"frames": [{"frame_id": t} for t in range(length)]})[
        "frames"
    ]
    assert [frame["frame_id"] for frame in frames] == expected


def test_a_video_of_one_frame_trains(youtube_files):
    del youtube_files.content["videos"][0]["file_names"][1:]
    for track in youtube_files.content["annotations"]:
        del track["segmentations"][1:]
    youtube_files.write()
    pipeline = [dict(type=name) for name in ("SampleFrames", "LoadFrames", "LoadSegments", "PackClip")]
    data = YouTubeVISDataset(**youtube_files.config, pipeline=pipeline)[0]
    assert data["inputs"].shape[0] == 2 and torch.equal(data["inputs"][0], data["inputs"][1])
    assert [len(f.gt_instances) for f in data["data_samples"].video_data_samples] == [1, 1]


def test_pseudo_clip_keeps_identities():
    np.random.seed(1)
    views = PseudoClip(
        4,
        [dict(type="LargeScaleJitter", image_size=(50, 50), ratio_range=(0.8, 3.0)), dict(type="RandomFlip")],
    )
    results = make_clip(num_frames=1)
    results.update(is_video=False)
    results = views(results)
    assert results["gt_masks"].shape[1] == len(results["imgs"]) == 4
    assert len({img.tobytes() for img in results["imgs"]}) == 4
    assert {50: 7, 150: 8, 250: 9}.items() >= dict(
        zip(results["gt_instance_ids"], results["gt_labels"])
    ).items()
    assert_masks_follow_the_image(results)
    sample = PackClip()(results)["data_samples"]
    assert isinstance(sample, TrackDataSample) and sample.video_id == 4
    assert [frame.frame_id for frame in sample.video_data_samples] == [0, 1, 2, 3]


def test_pseudo_clip_from_coco(coco_files):
    pipeline = [
        dict(type="LoadFrames"),
        dict(type="LoadSegments"),
        dict(
            type="PseudoClip", num_frames=2, transforms=[dict(type="LargeScaleJitter", image_size=(64, 64))]
        ),
        dict(type="PackClip"),
    ]
    np.random.seed(0)
    data = CocoPanopticDataset(**coco_files.config, pipeline=pipeline)[0]
    first, second = (frame.gt_instances for frame in data["data_samples"].video_data_samples)
    assert first.instances_ids.tolist() == second.instances_ids.tolist()
    assert first.masks.shape[1:] == second.masks.shape[1:] == data["inputs"].shape[2:]


@pytest.mark.parametrize("kind", ["point", "box"])
def test_prompts_lie_in_their_masks(kind):
    for seed in range(5):
        np.random.seed(seed)
        results = Resize((160, 120))(make_clip(num_frames=1))  # masks stay at half the image's size
        results = SamplePrompts(max_prompts=2, kind=kind)(results)
        assert len(results["gt_labels"]) == len(results["gt_masks"]) == 2
        (prompts,) = results["prompts"].values()
        for mask, prompt in zip(results["gt_masks"][:, 0], prompts):
            if kind == "point":
                x, y = (prompt / 2).astype(int)
                assert mask[y, x]
            else:
                x1, y1, x2, y2 = (prompt / 2).astype(int)
                assert mask[y1:y2, x1:x2].all() and mask.sum() == (x2 - x1) * (y2 - y1)
        packed = PackClip()({**results, "is_video": False})["data_samples"]
        assert len(packed.prompts) == 2


def test_deterministic_prompts_are_innermost():
    results = SamplePrompts(max_prompts=None, deterministic=True)(make_clip(num_frames=1))
    points = results["prompts"]["points"]
    assert len(points) == 3
    assert np.abs(points[0] - [20, 20]).max() <= 1 and np.abs(points[2] - [2, 2]).max() <= 1
    ring = np.ones((9, 21), np.uint8)
    ring[2:7, 2:14] = 0  # thick at the right only; the centre of mass lies in the hole
    x, y = innermost_point(ring)
    assert x == 17 and 3 <= y <= 5


def test_prompts_of_an_image_without_objects():
    results = make_clip(num_frames=1)
    results["gt_masks"][:] = 0
    results = SamplePrompts()(results)
    assert results["prompts"]["points"].shape == (0, 2) and len(results["gt_labels"]) == 0


def test_few_objects_are_prompted_again_elsewhere():
    np.random.seed(0)
    results = SamplePrompts(max_prompts=8, repeat=True)(make_clip(num_frames=1))
    points, ids = results["prompts"]["points"], results["gt_instance_ids"]
    assert len(points) == len(results["gt_masks"]) == len(results["gt_labels"]) == 8
    assert ids[:3].tolist() == ids[3:6].tolist() and len(set(ids.tolist())) == 3
    assert len({tuple(point) for point in points}) > 3
    for mask, (x, y) in zip(results["gt_masks"][:, 0], points.astype(int)):
        assert mask[y, x]
    with pytest.raises(ValueError, match="repeat=True needs max_prompts"):
        SamplePrompts(max_prompts=None, repeat=True)
