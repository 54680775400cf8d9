"""The toy video sets in the layouts of VSPW, OVIS, YouTube-VIS 2021 and YouTube-VOS, through the shipped configs."""

import json
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config

from omgseg.registry import DATASETS
from omgseg.structures import Vocabulary
from omgseg.structures.label_png import VOID_CLASS, read_index_png, read_vspw_mask
from omgseg.toy import TINY, generate
from omgseg.toy.categories import BASE_THINGS, THINGS

CONFIGS = Path(__file__).parents[2] / "configs/_base_/datasets"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(tmp_path_factory.mktemp("toy_videos") / "data", seed=3, sizes=TINY)


def read(path: Path) -> dict:
    return json.loads(path.read_text())


def test_vspw(root):
    folder = root / "VSPW"
    names = (folder / "val.txt").read_text().split()
    assert len(names) == 2
    vocabulary = Vocabulary.load(root / "vocabularies/vipseg.json")
    numbers = read(folder / "label_num_dic_final.json")
    assert numbers.pop("others") == 0
    assert {c.name: c.id + 1 for c in vocabulary} == numbers
    for name in names:
        images, masks = (sorted((folder / "data" / name / kind).iterdir()) for kind in ("origin", "mask"))
        assert [path.stem for path in images] == [path.stem for path in masks]
        assert len(images) > 16, "VC16 needs more"
        classes = np.unique([read_vspw_mask(path) for path in masks])
        assert set(classes.tolist()) <= {VOID_CLASS, *vocabulary.id_to_label}
        assert any(category.is_thing for category in vocabulary if category.id in classes)


def test_ovis_is_crowded(root):
    data = read(root / "ovis/annotations_valid.json")
    assert {category["name"] for category in data["categories"]} == set(BASE_THINGS)
    for video in data["videos"]:
        assert video["file_names"][0].endswith("/img_0000001.jpg")
        assert all((root / "ovis/valid" / name).is_file() for name in video["file_names"])
        tracks = [track for track in data["annotations"] if track["video_id"] == video["id"]]
        assert len(tracks) >= 4
        assert all(len(track["segmentations"]) == video["length"] for track in tracks)


def test_youtube_vis_2021_names_novel_things(root):
    folder = root / "youtube_vis_2021/valid"
    data = read(folder / "instances.json")
    assert [category["name"] for category in data["categories"]] == list(THINGS)
    assert all((folder / "JPEGImages" / name).is_file() for v in data["videos"] for name in v["file_names"])
    assert data["annotations"]


def test_youtube_vos_gives_masks_of_new_objects_only(root):
    folder = root / "YouTubeVOS/valid"
    videos = read(folder / "meta.json")["videos"]
    assert len(videos) == 2
    for name, video in videos.items():
        stems = [path.stem for path in sorted((folder / "JPEGImages" / name).iterdir())]
        assert stems == [f"{5 * index:05d}" for index in range(len(stems))]
        first = {int(number): item["frames"][0] for number, item in video["objects"].items()}
        assert sorted(first) == list(range(1, len(first) + 1))
        given = {}
        for path in (folder / "Annotations" / name).iterdir():
            objects = np.unique(read_index_png(path))
            given.update({int(number): path.stem for number in objects[objects > 0]})
        assert given == first
        assert min(first.values()) == "00000" < max(first.values()), "an object enters later"


def test_the_words_are_those_of_the_files(root):
    words = {path.stem: Vocabulary.load(path) for path in (root / "vocabularies").iterdir()}
    official = {
        "coco_panoptic": read(root / "coco/annotations/panoptic_val2017.json"),
        "ovis": read(root / "ovis/annotations_valid.json"),
        "vipseg": {"categories": json.loads((root / "VIPSeg/panoVIPSeg_categories.json").read_text())},
        "youtube_vis_2019": read(root / "youtube_vis_2019/annotations/youtube_vis_2019_valid.json"),
        "youtube_vis_2021": read(root / "youtube_vis_2021/valid/instances.json"),
    }
    for name, data in official.items():
        assert words[name] == Vocabulary.from_dict(data), name


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("youtube_vis_2019", "VIS"),
        ("youtube_vis_2021", "VIS"),
        ("ovis", "VIS"),
        ("vipseg", "map"),
        ("vspw", "map"),
        ("davis17", "VOS"),
        ("youtube_vos", "VOS"),
    ],
)
def test_the_shipped_configs_read_them(root, monkeypatch, name, kind):
    """With the environment alone: no path, no vocabulary is changed."""
    monkeypatch.setenv("OMGSEG_DATA", str(root))
    monkeypatch.setenv("OMGSEG_VOCABULARIES", str(root / "vocabularies"))
    config = Config.fromfile(CONFIGS / f"{name}.py")[f"{name}_test_dataloader"].dataset
    dataset = DATASETS.build({**config, "image_size": (128, 128)})
    assert len(dataset) == 2
    data = dataset[1]
    frames = data["data_samples"].video_data_samples
    assert data["inputs"].shape == (len(frames), 3, 128, 128)
    given = ["gt_instances" in frame for frame in frames]
    assert given[0] == (kind == "VOS") and any(given[1:]) == (name == "youtube_vos")
    assert all(hasattr(frame, "seg_map_path") for frame in frames) == (kind == "map" or name == "davis17")
