"""Every adapter reads its official format into the same kind of sample."""

import numpy as np
import torch
from mmdet.structures import DetDataSample, TrackDataSample

from omgseg.datasets import (
    CocoPanopticDataset,
    CocoPromptDataset,
    DAVISDataset,
    VIPSegDataset,
    YouTubeVISDataset,
)
from omgseg.structures import Vocabulary

LOAD = [dict(type="LoadFrames"), dict(type="LoadSegments"), dict(type="PackClip")]


def rectangle(rows, columns, shape=(40, 60)):
    mask = torch.zeros(shape, dtype=torch.bool)
    mask[slice(*rows), slice(*columns)] = True
    return mask


def test_coco_panoptic(coco_files):
    dataset = CocoPanopticDataset(**coco_files.config, pipeline=LOAD)
    assert dataset.vocabulary.names == ["cat", "dog", "sky"]
    assert dataset.metainfo["classes"] == ("cat", "dog", "sky")
    assert len(dataset.metainfo["palette"]) == 3
    data = dataset[1]
    assert data["inputs"].shape == (1, 3, 40, 60) and data["inputs"].dtype == torch.uint8
    sample = data["data_samples"]
    assert isinstance(sample, DetDataSample)
    assert (
        sample.img_id == 1 and sample.tasks == ("panoptic", "instance") and sample.source == "coco_panoptic"
    )
    assert sample.ori_shape == sample.img_shape == (40, 60)
    assert sample.seg_map_path.endswith("001.png") and len(sample.segments_info) == 4
    gt = sample.gt_instances
    assert gt.labels.tolist() == [2, 0, 1]  # file order, the crowd region dropped
    assert gt.instances_ids.tolist() == [3000, 70000, 258]
    assert torch.equal(gt.masks[1], rectangle((10, 20), (10, 30)))
    assert gt.bboxes[1].tolist() == [10, 10, 30, 20]
    assert not gt.masks[0, -1, -1] and not gt.masks[:, 0, 0].any()  # void, and the crowd region


def test_images_are_rgb_and_as_stored(coco_files):
    red = np.zeros((40, 60, 3), np.uint8)
    red[..., 0] = 255
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6  # "rotate me": the masks are drawn on the stored pixels
    Image.fromarray(red).save(coco_files.root / "images" / "000.jpg", exif=exif)
    inputs = CocoPanopticDataset(**coco_files.config, pipeline=LOAD)[0]["inputs"]
    assert inputs.shape[-2:] == (40, 60)
    assert inputs[0, 0].min() > 250 and inputs[0, 1:].max() < 5


def test_prompts_have_no_classes(coco_files):
    dataset = CocoPromptDataset(**coco_files.config, pipeline=LOAD)
    assert len(dataset.vocabulary) == 0
    sample = dataset[0]["data_samples"]
    assert sample.gt_instances.labels.tolist() == [-1, -1, -1]  # stuff counts as an object
    assert sample.tasks == ("interactive",)


def test_labels_follow_the_given_vocabulary(coco_files):
    vocabulary = Vocabulary.from_dict(
        {
            "categories": [
                {"id": 9, "name": "air", "isthing": 0},
                {"id": 5, "name": "hound"},
                {"id": 1, "name": "tom"},
            ]
        }
    )
    dataset = CocoPanopticDataset(**coco_files.config, pipeline=LOAD, vocabulary=vocabulary)
    assert dataset[0]["data_samples"].gt_instances.labels.tolist() == [2, 1, 0]


def test_youtube_vis(youtube_files):
    dataset = YouTubeVISDataset(**youtube_files.config, pipeline=LOAD)
    data = dataset[0]
    sample = data["data_samples"]
    assert data["inputs"].shape == (4, 3, 40, 60)
    assert isinstance(sample, TrackDataSample)
    assert sample.video_id == 3 and sample.video_length == 4 and sample.tasks == ("instance",)
    frames = sample.video_data_samples
    assert [frame.frame_id for frame in frames] == [0, 1, 2, 3]
    for frame in frames:  # rows are tracks
        assert frame.gt_instances.instances_ids.tolist() == [7, 8]
        assert frame.gt_instances.labels.tolist() == [1, 0]
    assert torch.equal(frames[0].gt_instances.masks[0], rectangle((10, 20), (0, 10)))
    assert torch.equal(frames[1].gt_instances.masks[0], rectangle((10, 20), (10, 20)))
    assert not frames[2].gt_instances.masks.any() and frames[2].gt_instances.bboxes.tolist() == [[0] * 4] * 2
    assert torch.equal(frames[3].gt_instances.masks[1], rectangle((0, 5), (0, 5)))


def test_youtube_vis_test_file_without_annotations(youtube_files):
    del youtube_files.content["annotations"]
    youtube_files.write()
    pipeline = [dict(type="LoadFrames"), dict(type="PackClip")]
    dataset = YouTubeVISDataset(**youtube_files.config, pipeline=pipeline, test_mode=True)
    data = dataset[0]
    assert data["inputs"].shape[0] == 4
    assert "gt_instances" not in data["data_samples"].video_data_samples[0]


def test_polygons_and_compressed_encodings(youtube_files):
    from pycocotools import mask as coco_mask

    square = np.zeros((40, 60), np.uint8, order="F")
    square[10:20, 30:40] = 1
    compressed = coco_mask.encode(square)
    compressed["counts"] = compressed["counts"].decode()
    youtube_files.content["annotations"][0]["segmentations"][:2] = [
        compressed,
        [[30, 10, 40, 10, 40, 20, 30, 20]],
    ]
    youtube_files.write()
    sample = YouTubeVISDataset(**youtube_files.config, pipeline=LOAD)[0]["data_samples"]
    for frame in sample.video_data_samples[:2]:
        assert torch.equal(frame.gt_instances.masks[0], rectangle((10, 20), (30, 40)))


def test_vipseg(vipseg_config):
    dataset = VIPSegDataset(**vipseg_config, pipeline=LOAD)
    assert len(dataset) == 2 and len(dataset.vocabulary) == 124
    sample = dataset[0]["data_samples"]
    assert sample.video_id == "1_a" and sample.video_length == 3
    person, sky = dataset.vocabulary.id_to_label[60], dataset.vocabulary.id_to_label[28]
    for t, frame in enumerate(sample.video_data_samples):
        gt = frame.gt_instances
        assert gt.labels.tolist() == [sky, person]
        assert torch.equal(gt.masks[1], rectangle((10, 20), (10 * t, 10 * t + 10)))
        assert not gt.masks[:, :2].any()  # void
        assert frame.seg_map_path.endswith(f"1_a/{t:08d}.png")


def test_vipseg_stuff_with_instance_numbers_is_one_segment(vipseg_config):
    from omgseg.structures.label_png import write_vipseg_panomask

    classes, instances = np.full((40, 60), 28), np.zeros((40, 60), int)
    instances[:, 30:] = 2
    for path in (f"{vipseg_config['data_root']}/panomasks/1_a/{t:08d}.png" for t in range(3)):
        write_vipseg_panomask(path, classes, instances)
    gt = VIPSegDataset(**vipseg_config, pipeline=LOAD)[0]["data_samples"].video_data_samples[0].gt_instances
    assert len(gt) == 1 and gt.masks.all()


def test_davis_gives_the_masks_of_the_first_frame_only(davis_config):
    pipeline = [
        dict(type="LoadFrames"),
        dict(type="LoadSegments", first_frame_only=True),
        dict(type="PackClip"),
    ]
    dataset = DAVISDataset(**davis_config, pipeline=pipeline, test_mode=True)
    frames = dataset[0]["data_samples"].video_data_samples
    gt = frames[0].gt_instances
    assert gt.instances_ids.tolist() == [1, 2] and gt.labels.tolist() == [-1, -1]
    assert torch.equal(gt.masks[1], rectangle((20, 30), (20, 30)))
    assert "gt_instances" not in frames[1] and frames[1].seg_map_path.endswith("00001.png")
    assert frames[0].tasks == ("vos",)


def test_test_videos_without_masks(vipseg_config):
    import shutil

    shutil.rmtree(f"{vipseg_config['data_root']}/panomasks/2_b")
    pipeline = [dict(type="LoadFrames"), dict(type="PackClip")]
    dataset = VIPSegDataset(**vipseg_config, pipeline=pipeline, test_mode=True)
    assert "seg_map_path" not in dataset[1]["data_samples"].video_data_samples[0]


def test_sampling_groups_tell_wide_images(coco_files):
    coco_files.images[2].update(height=60, width=40)
    coco_files.write()
    dataset = CocoPanopticDataset(**coco_files.config)
    assert dataset.sampling_groups()[1].tolist() == [True, True, False]
