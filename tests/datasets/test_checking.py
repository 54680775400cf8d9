"""Every kind of mistake in a dataset's files is found and counted, all of them in one go."""

import shutil

import numpy as np
import pytest
from PIL import Image

from omgseg.datasets.checking import DatasetFiles, check_sources
from omgseg.structures import Vocabulary
from omgseg.structures.label_png import decode_panoptic_png, write_panoptic_png, write_vipseg_panomask


def check(type, config, fast=False, workers=0, **settings):
    """The counts of a dataset's problems by kind, and their texts."""
    source = DatasetFiles("own", {"type": type, "test_mode": True, **config, **settings})
    (report,) = check_sources([source], fast, workers, progress=False).sources
    texts = {kind.name: list(entries) for kind, entries in report.problems.items() if entries}
    for text, times in (pair for entries in report.problems.values() for pair in entries.items()):
        assert times == 1 or "category" in text or text.startswith("folder"), f"counted {times} times: {text}"
    return {kind: len(entries) for kind, entries in texts.items()}, texts


def cut(path):
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


CLEAN = [
    ("CocoPanopticDataset", "coco_files"),
    ("CocoPromptDataset", "coco_files"),
    ("YouTubeVISDataset", "youtube_files"),
    ("VIPSegDataset", "vipseg_config"),
    ("DAVISDataset", "davis_config"),
]


@pytest.mark.parametrize(("type", "fixture"), CLEAN)
@pytest.mark.parametrize("settings", [dict(), dict(test_mode=False)], ids=["test", "train"])
def test_nothing_is_wrong_with_clean_files(type, fixture, settings, request):
    files = request.getfixturevalue(fixture)
    assert check(type, getattr(files, "config", files), **settings) == ({}, {})


def break_coco(files):
    root, images, annotations = files.root, files.images, files.annotations
    (root / "images/000.jpg").unlink()
    cut(root / "images/001.jpg")
    (root / "panoptic/002.png").unlink()
    cut(root / "panoptic/003.png")
    Image.new("RGB", (50, 40)).save(root / "images/004.jpg")  # not what the file says, and not the mask's
    ids = decode_panoptic_png(root / "panoptic/005.png")
    ids[ids == 258] = 77  # 77 is not in the file, 258 has no pixels
    write_panoptic_png(root / "panoptic/005.png", ids)
    annotations[6]["segments_info"][1]["category_id"] = 404
    annotations[7]["segments_info"][1]["category_id"] = 404
    annotations[7]["segments_info"][2]["area"] = 12  # 100 pixels
    annotations[8]["segments_info"].append(dict(annotations[8]["segments_info"][0]))
    images.append(dict(images[9]))
    annotations.append(dict(annotations[9], image_id=999))
    del annotations[10]
    files.write()


def test_all_mistakes_of_a_panoptic_dataset_at_once(coco_files):
    files = type(coco_files)(coco_files.root, [(40, 60)] * 12)
    break_coco(files)
    counts, texts = check("CocoPanopticDataset", files.config, vocabulary=None)
    # vocabulary=None: an id that the file's own categories lack
    assert counts == dict(
        MISSING=2,
        UNREADABLE=2,
        SIZE=2,
        SEGMENT=1,
        EMPTY=1,
        AREA=1,
        CATEGORY=1,
        DUPLICATE_ID=2,
        REFERENCE=1,
        NO_MASK=1,
    ), texts
    assert [text.split(" not found")[0][-7:] for text in sorted(texts["MISSING"])] == ["000.jpg", "002.png"]
    assert "category_id 404" in texts["CATEGORY"][0]
    assert "segment 258 has no pixels" in texts["EMPTY"][0]
    assert "segment id 77" in texts["SEGMENT"][0]
    assert "segment 258 has 100 pixels, its 'area' is 12" in texts["AREA"][0]
    assert any("images/004.jpg is 50x40" in text for text in texts["SIZE"])
    assert any("panoptic/004.png: the mask is 60x40" in text for text in texts["SIZE"])
    assert "image 10 has no annotation" in texts["NO_MASK"][0]
    assert check("CocoPanopticDataset", files.config, workers=2)[0] == counts  # whatever the processes


def test_all_mistakes_of_a_track_file_at_once(youtube_files):
    root, content = youtube_files.root, youtube_files.content
    dog, cat = content["annotations"]
    empty = {"counts": [2400], "size": [40, 60]}
    small = {"counts": [100, 20, 80], "size": [10, 20]}
    more = [  # dog: masks in frames 0, 1, 3; cat: in frame 3
        dict(dog, id=9),
        dict(cat, id=10, segmentations=[None] * 4),
        dict(cat, id=11, segmentations=[empty, None, None, None]),
        dict(cat, id=12, segmentations=[None, small, None, None]),
        dict(cat, id=13, category_id=404),
        dict(cat, id=14, segmentations=[None]),
        dict(cat, id=15, video_id=99),
        dict(cat, id=16, areas=[None, None, None, 26]),  # 25 pixels
        dict(cat, id=17, segmentations=[{"counts": "!", "size": [40, 60]}, None, None, None]),
        dict(cat, id=17, segmentations=[None, None, 5, None]),
        dict(cat, id=18, segmentations=[None, None, {"counts": [100], "size": [40, 60]}, None]),
    ]
    cat["areas"] = [None, None, None, 25]
    content["annotations"] += more
    Image.new("RGB", (50, 40)).save(root / "JPEGImages/clip/00002.jpg")
    (root / "JPEGImages/clip/00001.jpg").write_text("<html>404</html>")
    youtube_files.write()
    counts, texts = check("YouTubeVISDataset", youtube_files.config)
    assert counts == dict(
        ANNOTATION=4,
        AREA=1,
        CATEGORY=1,
        DUPLICATE_ID=1,
        DUPLICATE_MASK=2,
        EMPTY=3,
        REFERENCE=1,
        SIZE=2,
        UNREADABLE=1,
    ), texts
    assert "annotation 14 has 1 segmentations" in texts["ANNOTATION"][0]
    assert "annotation 17: 'segmentation' is neither polygons nor run lengths" in texts["ANNOTATION"][1]
    assert "'int' object is not subscriptable" in texts["ANNOTATION"][2]
    assert "run lengths of 100 pixels for a mask of [40, 60]" in texts["ANNOTATION"][3]
    assert "segment 16 has 25 pixels, its 'area' is 26" in texts["AREA"][0]
    assert "category_id 404" in texts["CATEGORY"][0]
    assert "video 3: annotations 7 and 9 have the same" in texts["DUPLICATE_MASK"][0]
    assert "annotation 10 has no mask in any frame" in texts["EMPTY"][0]
    assert "00000.jpg: segment 11 has no pixels" in texts["EMPTY"][2]
    assert "annotation 15 has video_id 99, which is not in 'videos'" in texts["REFERENCE"][0]
    assert (
        "annotation 12: the mask is 20x10" in texts["SIZE"][0]
        and "00002.jpg is 50x40, its video is 60x40" in texts["SIZE"][1]
    )
    assert "clip/00001.jpg is truncated or not an image" in texts["UNREADABLE"][0]


def test_all_mistakes_of_folders_of_frames_and_masks_at_once(vipseg_config, tmp_path):
    root = tmp_path / "VIPSeg"
    first, second = (root / "imgs" / video for video in ("1_a", "2_b"))
    masks = root / "panomasks"
    (root / "train.txt").write_text("1_a\n2_b\n3_c\n4_d\n5_e\n5_e\n")
    (root / "imgs/4_d").mkdir()
    for folder in (root / "imgs", masks):
        shutil.copytree(folder / "1_a", folder / "5_e")
    cut(first / "00000000.jpg")  # tells the video's size, too
    Image.new("RGB", (50, 40)).save(first / "00000002.jpg")
    (masks / "1_a/00000001.png").unlink()
    write_vipseg_panomask(masks / "2_b/00000000.png", np.full((40, 60), 255), np.zeros((40, 60), int))
    write_vipseg_panomask(masks / "2_b/00000001.png", np.full((40, 60), 7), np.zeros((40, 60), int))
    (second / "00000002.jpg").write_text("404")
    cut(masks / "2_b/00000002.png")
    words = Vocabulary.from_dict({"categories": [{"id": 28, "name": "sky"}, {"id": 60, "name": "person"}]})
    counts, texts = check("VIPSegDataset", vipseg_config, vocabulary=words)
    assert counts == dict(CATEGORY=1, DUPLICATE_ID=1, EMPTY=1, MISSING=2, NO_MASK=1, SIZE=2, UNREADABLE=3), (
        texts
    )
    assert "imgs/3_c not found" in texts["MISSING"][0] and "imgs/4_d has no images" in texts["MISSING"][1]
    assert texts["DUPLICATE_ID"][0].endswith("train.txt lists 5_e more than once")
    assert texts["NO_MASK"][0].endswith("1_a/00000001.jpg has no mask file")
    assert texts["CATEGORY"][0].endswith(
        "00000001.png: category id 7 is not in the vocabulary of 2 categories"
    )
    assert "2_b/00000000.png: no pixel is labelled" in texts["EMPTY"][0]


def test_masks_of_object_ids(davis_config, tmp_path):
    masks = tmp_path / "DAVIS/Annotations/480p/run"
    Image.new("P", (60, 30)).save(masks / "00000.png")
    Image.new("RGB", (60, 40)).save(masks / "00001.png")
    (masks / "00002.png").unlink()
    counts, texts = check("DAVISDataset", davis_config)
    assert counts == dict(ANNOTATION=1, NO_MASK=1, SIZE=1)
    assert "expected one channel" in texts["ANNOTATION"][0]


def test_a_split_without_any_masks_is_a_test_split(vipseg_config, tmp_path):
    shutil.rmtree(tmp_path / "VIPSeg/panomasks/1_a")
    shutil.rmtree(tmp_path / "VIPSeg/panomasks/2_b")
    assert check("VIPSegDataset", vipseg_config)[0] == {}
    assert check("VIPSegDataset", vipseg_config, test_mode=False)[0] == dict(MISSING=2)


def test_a_missing_tree_is_one_problem_a_folder(coco_files, vipseg_config, tmp_path):
    shutil.rmtree(coco_files.root / "images")
    shutil.rmtree(tmp_path / "VIPSeg/imgs")
    for type, config, folder in (
        ("CocoPanopticDataset", coco_files.config, "images"),
        ("VIPSegDataset", vipseg_config, "imgs"),
    ):
        counts, texts = check(type, config)
        assert counts == dict(MISSING=1) and f"/{folder} not found" in texts["MISSING"][0]


@pytest.mark.parametrize(
    ("content", "kind"), [(None, "MISSING"), ('{"images": [', "ANNOTATION"), ("[]", "ANNOTATION")]
)
def test_an_annotation_file_that_cannot_be_read(coco_files, content, kind):
    path = coco_files.root / "panoptic.json"
    path.unlink() if content is None else path.write_text(content)
    assert check("CocoPanopticDataset", coco_files.config)[0] == {kind: 1}


def test_polygons_may_differ_from_their_pixels_by_their_outline(youtube_files):
    track = youtube_files.content["annotations"][1]
    diamond = [[30, 5, 45, 20, 30, 35, 15, 20]]  # 450 by its corners
    track["segmentations"], track["areas"] = [None, None, None, diamond], [None, None, None, 450]
    youtube_files.write()
    assert check("YouTubeVISDataset", youtube_files.config)[0] == {}
    track["areas"][3] = 900
    youtube_files.write()
    assert check("YouTubeVISDataset", youtube_files.config)[0] == dict(AREA=1)


def test_a_fast_check_reads_a_sample_and_looks_for_all_files(coco_files, monkeypatch):
    monkeypatch.setattr("omgseg.datasets.checking.run.FAST_SAMPLES", 4)
    files = type(coco_files)(coco_files.root, [(40, 60)] * 12)
    for index in range(12):
        path = files.root / f"images/{index:03d}.jpg"
        cut(path) if index % 2 else path.unlink()
    counts, texts = check("CocoPanopticDataset", files.config, fast=True)
    assert counts["MISSING"] == 6 and 0 < counts["UNREADABLE"] <= 4
    assert check("CocoPanopticDataset", files.config, fast=True)[1] == texts  # the same sample again


def test_a_fast_check_opens_all_frames_and_reads_three(davis_config, tmp_path):
    folder = tmp_path / "DAVIS/JPEGImages/480p/run"
    for file in (folder / "00002.jpg", tmp_path / "DAVIS/Annotations/480p/run/00002.png"):
        for t in range(3, 9):
            shutil.copy(file, file.with_stem(f"{t:05d}"))
    cut(folder / "00004.jpg")  # read
    cut(folder / "00005.jpg")  # its header is fine
    Image.new("RGB", (50, 40)).save(folder / "00006.jpg")
    assert check("DAVISDataset", davis_config, fast=True)[0] == dict(SIZE=1, UNREADABLE=1)
    assert check("DAVISDataset", davis_config)[0] == dict(SIZE=2, UNREADABLE=2)
