"""Every kind of broken input is an error that names the file, the field and the fix, or a counted skip."""

import json
import logging

import numpy as np
import pytest

from omgseg.datasets import CocoPanopticDataset, DAVISDataset, VIPSegDataset, YouTubeVISDataset
from omgseg.structures import Vocabulary
from omgseg.structures.label_png import write_panoptic_png

LOAD = [dict(type="LoadFrames"), dict(type="LoadSegments"), dict(type="PackClip")]


def cut(path, keep=0.6):
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])


def test_missing_annotation_file(coco_files):
    (coco_files.root / "panoptic.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"coco/panoptic.json not found; see data/README.md#coco"):
        CocoPanopticDataset(**coco_files.config)


def test_missing_folder(youtube_files):
    youtube_files.root.joinpath("JPEGImages").rename(youtube_files.root / "images")
    with pytest.raises(FileNotFoundError, match=r"JPEGImages.* not found; see data/README.md#youtube-vis"):
        YouTubeVISDataset(**youtube_files.config)


def test_missing_video_folder(vipseg_config):
    with open(f"{vipseg_config['data_root']}/train.txt", "a") as file:
        file.write("3_c\n")
    with pytest.raises(FileNotFoundError, match=r"imgs/3_c not found; see data/README.md#vipseg"):
        VIPSegDataset(**vipseg_config)


def test_missing_masks_of_a_training_video(vipseg_config, tmp_path):
    (tmp_path / "VIPSeg/panomasks/1_a/00000001.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"00000001.jpg has no mask file; see data/README.md#vipseg"):
        VIPSegDataset(**vipseg_config, pipeline=LOAD)[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"\n", "lists no videos; see data/README.md#davis"), (b"toy\xfe\n", "is not text in UTF-8")],
)
def test_wrong_split_file(davis_config, tmp_path, content, message):
    (tmp_path / "DAVIS/ImageSets/2017/val.txt").write_bytes(content)
    with pytest.raises(ValueError, match=f"val.txt {message}"):
        DAVISDataset(**davis_config)


@pytest.mark.parametrize("test_mode", [False, True])
def test_missing_image(coco_files, test_mode):
    (coco_files.root / "images/001.jpg").unlink()
    dataset = CocoPanopticDataset(**coco_files.config, pipeline=LOAD, test_mode=test_mode)
    with pytest.raises(FileNotFoundError, match=r"images/001.jpg not found; see data/README.md#coco"):
        dataset[1]


@pytest.mark.parametrize("file", ["images/001.jpg", "panoptic/001.png"])
def test_truncated_file_in_testing(coco_files, file):
    cut(coco_files.root / file)
    dataset = CocoPanopticDataset(**coco_files.config, pipeline=LOAD, test_mode=True)
    with pytest.raises(OSError, match=rf"{file} is truncated"):
        dataset[1]


def test_truncated_image_in_training_is_skipped_counted_and_logged(coco_files, monkeypatch):
    messages = []
    monkeypatch.setattr(
        "omgseg.datasets.base.print_log", lambda text, logger, level: messages.append((level, text))
    )
    cut(coco_files.root / "images/001.jpg")
    dataset = CocoPanopticDataset(**coco_files.config, pipeline=LOAD)
    assert dataset[1]["data_samples"].img_id == 2
    assert dataset[1]["data_samples"].img_id == 2  # counted once
    (level, text), *_ = messages
    assert level == logging.WARNING
    assert "images/001.jpg is truncated" in text and "1 of 3 samples of coco_panoptic" in text
    cut(coco_files.root / "images/002.jpg")
    with pytest.raises(OSError, match=r"2 of 3 samples .* at most 1; the last one: .*002.jpg is truncated"):
        dataset[1]


def test_a_text_file_instead_of_an_image(coco_files):
    (coco_files.root / "images/001.jpg").write_text("<html>404</html>")
    with pytest.raises(OSError, match=r"001.jpg is truncated or not an image"):
        CocoPanopticDataset(**coco_files.config, pipeline=LOAD, test_mode=True)[1]


def test_segment_id_that_is_not_in_the_json(coco_files):
    ids = np.full((40, 60), 3000)
    ids[:3] = 77
    write_panoptic_png(coco_files.root / "panoptic/001.png", ids)
    with pytest.raises(
        ValueError, match=r"001.png: segment id 77 .*'segments_info' of .*panoptic.json \(image 1\)"
    ):
        CocoPanopticDataset(**coco_files.config, pipeline=LOAD)[1]


def test_category_id_that_is_not_in_the_vocabulary(coco_files, youtube_files):
    vocabulary = Vocabulary.from_dict({"categories": [{"id": 1, "name": "cat"}]})
    with pytest.raises(ValueError, match=r"panoptic.json: category_id 5 .* vocabulary of 1 categories"):
        CocoPanopticDataset(**coco_files.config, vocabulary=vocabulary)
    with pytest.raises(ValueError, match=r"train.json: category_id 5 .* vocabulary of 1 categories"):
        YouTubeVISDataset(**youtube_files.config, vocabulary=vocabulary)


def test_mask_class_that_is_not_in_the_vocabulary(vipseg_config):
    vocabulary = Vocabulary.from_dict({"categories": [{"id": 28, "name": "sky", "isthing": 0}]})
    with pytest.raises(ValueError, match=r"00000000.png: category id 60 is not in the vocabulary"):
        VIPSegDataset(**vipseg_config, pipeline=LOAD, vocabulary=vocabulary)[0]


def test_empty_annotations(coco_files, youtube_files):
    coco_files.annotations.clear()
    coco_files.write()
    with pytest.raises(ValueError, match=r"panoptic.json: 'annotations' is empty, .*README.md#coco"):
        CocoPanopticDataset(**coco_files.config)
    youtube_files.content["annotations"] = []
    youtube_files.write()
    with pytest.raises(ValueError, match=r"train.json: 'annotations' is empty, .*README.md#youtube-vis"):
        YouTubeVISDataset(**youtube_files.config)


def test_no_images_at_all(coco_files):
    coco_files.images.clear()
    coco_files.write()
    with pytest.raises(ValueError, match=r"panoptic.json holds no samples"):
        CocoPanopticDataset(**coco_files.config)


def test_an_image_without_segments_trains(coco_files):
    coco_files.annotations[1]["segments_info"] = []
    coco_files.write()
    write_panoptic_png(coco_files.root / "panoptic/001.png", np.zeros((40, 60), int))
    pipeline = [*LOAD[:2], dict(type="LargeScaleJitter", image_size=(32, 32)), LOAD[2]]
    gt = CocoPanopticDataset(**coco_files.config, pipeline=pipeline)[1]["data_samples"].gt_instances
    assert len(gt) == 0 and gt.masks.shape[0] == 0


def test_mask_size_different_from_the_image(coco_files, youtube_files, davis_config, tmp_path):
    write_panoptic_png(coco_files.root / "panoptic/001.png", np.full((30, 60), 3000))
    with pytest.raises(ValueError, match=r"001.png: the mask is 60x30, its image .*001.jpg is 60x40"):
        CocoPanopticDataset(**coco_files.config, pipeline=LOAD)[1]
    youtube_files.content["annotations"][0]["segmentations"][1] = {"counts": [100, 20, 80], "size": [10, 20]}
    youtube_files.write()
    with pytest.raises(
        ValueError, match=r"train.json, annotation 7: the mask is 20x10, its image .*00001.jpg"
    ):
        YouTubeVISDataset(**youtube_files.config, pipeline=LOAD)[0]


def test_frames_of_different_sizes(youtube_files):
    from PIL import Image

    Image.new("RGB", (50, 40)).save(youtube_files.root / "JPEGImages/clip/00002.jpg")
    with pytest.raises(ValueError, match=r"00002.jpg has 50x40 pixels, the clip's first frame 60x40"):
        YouTubeVISDataset(**youtube_files.config, pipeline=LOAD)[0]


def test_track_of_another_length_than_its_video(youtube_files):
    youtube_files.content["annotations"][0]["segmentations"].pop()
    youtube_files.write()
    with pytest.raises(ValueError, match=r"annotation 7 has 3 segmentations, its video 3 has 4 frames"):
        YouTubeVISDataset(**youtube_files.config)


def test_the_converted_youtube_vis_schema_is_refused(real_samples_dir):
    with pytest.raises(ValueError, match=r"per-frame COCO-video schema .* official file as downloaded"):
        YouTubeVISDataset(
            data_root=str(real_samples_dir / "youtube_vis_2019"),
            ann_file="annotations/coco_video/youtube_vis_2019_train.json",
            data_prefix=dict(img="train/JPEGImages"),
        )


def test_broken_json(coco_files):
    cut(coco_files.root / "panoptic.json")
    with pytest.raises(ValueError, match=r"panoptic.json is not valid JSON .* download it again"):
        CocoPanopticDataset(**coco_files.config)
    (coco_files.root / "panoptic.json").write_text('{"images": ' + "[" * 100_000)
    with pytest.raises(ValueError, match=r"panoptic.json is not valid JSON .*nested too deep"):
        CocoPanopticDataset(**coco_files.config)


def test_another_json_file(coco_files):
    (coco_files.root / "panoptic.json").write_text(json.dumps({"info": 1}))
    with pytest.raises(ValueError, match=r"panoptic.json has no field 'images'; see data/README.md#coco"):
        CocoPanopticDataset(**coco_files.config)
    for annotation in coco_files.annotations:
        annotation.pop("segments_info")
    coco_files.write()
    with pytest.raises(ValueError, match=r"no field 'segments_info', this is not a panoptic file"):
        CocoPanopticDataset(**coco_files.config)


def test_config_mistakes(coco_files):
    with pytest.raises(ValueError, match=r"'panoptc' is not a valid Task"):
        CocoPanopticDataset(**coco_files.config, tasks=("panoptc",))
    config = {**coco_files.config, "data_prefix": dict(img="images/")}
    with pytest.raises(ValueError, match=r"data_prefix has no folder 'seg'"):
        CocoPanopticDataset(**config)
    with pytest.raises(FileNotFoundError, match=r"'coco_panotic' is neither a file nor one of"):
        CocoPanopticDataset(**coco_files.config, vocabulary="coco_panotic")
