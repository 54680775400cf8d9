"""Files with changed bytes and changed fields: a named error, or a result that the file allows."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from omgseg.datasets.checking import DatasetFiles, check_sources
from omgseg.datasets.embedding_cache import EmbeddingCache
from omgseg.datasets.transforms.loading import read_rgb
from omgseg.engine import read_checkpoint
from omgseg.evaluation.dump import Manifest, read_sample
from omgseg.evaluation.functional.inputs import load_detections
from omgseg.inference import SegmentationResult, VideoResult
from omgseg.inference.video_files import probe_video, read_video
from omgseg.registry import DATASETS
from omgseg.structures import Category, Vocabulary
from omgseg.structures.images import read_image
from omgseg.toy.categories import vipseg_vocabulary
from omgseg.toy.image_files import cityscapes_vocabulary
from tests.chaos.campaign import FAILURE, RIGHT, Case, Outcome, outcome_of
from tests.chaos.mutations import BYTES, mutate_json
from tests.chaos.world import CLASSES, KEYS, MADE, PSEUDO_LABELS, SAMPLE

COUNT = 500
LOAD = [dict(type="LoadFrames"), dict(type="LoadSegments"), dict(type="PackClip")]
FIRST_MASKS = [LOAD[0], dict(type="LoadSegments", first_masks_only=True), LOAD[2]]


@dataclass(frozen=True)
class Target:
    """A kind of file.

    Attributes:
        pattern: of the files, in the world.
        read: reads all that depends on one: gets the copied folder and the file.
        folder: of the world, which is copied.
        is_checked: whether changed bytes cannot pass for the original: the format has checksums.
        has_fields: whether it is JSON, whose fields are changed, too.
    """

    pattern: str
    read: Callable[[Path, Path], Any]
    folder: str = MADE
    is_checked: bool = False
    has_fields: bool = False


def _image(root: Path, file: Path) -> np.ndarray:
    pixels = read_image(file)
    assert pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3, pixels.shape
    return pixels


def _training_image(root: Path, file: Path) -> np.ndarray:
    pixels = read_rgb(file, "coco")
    assert pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3, pixels.shape
    return pixels


def _video(root: Path, file: Path) -> None:
    probe_video(file)
    shapes = {frame.image.shape for frame in islice(read_video(file), 200)}
    assert len(shapes) == 1, shapes


def _vocabulary(root: Path, file: Path) -> None:
    Vocabulary.load(file).to_dict()


def _result(root: Path, file: Path) -> None:
    result = SegmentationResult.load(file)
    assert result.masks.shape == (len(result), *result.size)
    assert np.isfinite(result.scores).all()
    result.to_coco()


def _results(root: Path, file: Path) -> None:
    for result in VideoResult.load(file):
        assert result.masks.shape == (len(result), *result.size)


def _weights(root: Path, file: Path) -> list[torch.Tensor]:
    state = read_checkpoint(file)["state_dict"]
    assert all(value.isfinite().all() for value in state.values())
    return [state[name] for name in sorted(state)]


def _cache(root: Path, file: Path) -> list[torch.Tensor]:
    cache = EmbeddingCache(root / "cache")
    return [cache[key] for key in KEYS if key in cache or file.suffix == ".safetensors"]


def _dump(root: Path, file: Path) -> Any:
    Manifest.read(root / "dump")
    return read_sample(root / "dump", SAMPLE)["pred_panoptic_seg"]["sem_seg"]


def _detections(root: Path, file: Path) -> None:
    entries = json.loads((root / "annotations/instances_val2017.json").read_text())
    images, categories = ({entry["id"] for entry in entries[key]} for key in ("images", "categories"))
    load_detections(file, images, categories)


def _dataset(kind: str, root: Path, file: Path, **config: Any) -> None:
    """Read every sample as training does, and all as the checker does: it must find what training stumbles over."""
    config = {
        key: value.format(root=root) if isinstance(value, str) else value for key, value in config.items()
    }
    config = dict(type=kind, data_root=str(root), test_mode=True, **config)
    load = FIRST_MASKS if kind == "YouTubeVOSDataset" else LOAD
    (checked,) = check_sources([DatasetFiles("own", config)], workers=0, progress=False).sources
    texts = [text for texts in checked.problems.values() for text in texts]
    for text in texts:
        assert str(root) in text, f"the checker does not say where: {text}"
    try:
        dataset = DATASETS.build(dict(**config, pipeline=load))
        dataset.full_init()
        dataset.sampling_groups()
        for index in range(len(dataset)):
            _check_sample(dataset[index])
    except (OSError, ValueError) as error:
        assert texts or checked.note, f"the checker finds nothing, training does: {error}"
        raise


def _check_sample(sample: dict[str, Any]) -> None:
    frames = sample["data_samples"]
    for frame in frames.video_data_samples if hasattr(frames, "video_data_samples") else [frames]:
        if "gt_instances" in frame and "masks" in frame.gt_instances:
            objects = frame.gt_instances
            masks = objects.masks
            assert len(masks) == len(objects.labels)
            assert tuple(masks.shape[-2:]) == tuple(frame.ori_shape[:2])


def _set(kind: str, folder: str, pattern: str, **config: Any) -> Target:
    return Target(
        pattern, partial(_dataset, kind, **config), f"data/{folder}", has_fields=pattern.endswith(".json")
    )


_COCO = dict(ann_file="annotations/instances_val2017.json", data_prefix=dict(img="val2017/"))
_PANOPTIC = dict(
    ann_file="annotations/panoptic_val2017.json",
    data_prefix=dict(img="val2017/", seg="annotations/panoptic_val2017/"),
)
_YOUTUBE = dict(ann_file="annotations/youtube_vis_2019_valid.json", data_prefix=dict(img="valid/JPEGImages/"))
_VIPSEG = dict(
    ann_file="val.txt", data_prefix=dict(img="imgs/", seg="panomasks/"), vocabulary="{root}/vocabulary.json"
)
_DAVIS = dict(
    ann_file="ImageSets/2017/val.txt", data_prefix=dict(img="JPEGImages/480p/", seg="Annotations/480p/")
)
_VOS = dict(ann_file="valid/meta.json", data_prefix=dict(img="valid/JPEGImages/", seg="valid/Annotations/"))
_PSEUDO = dict(ann_file=PSEUDO_LABELS, data_prefix=dict(img="val2017/"), pseudo_labels=dict(sure_score=0.5))
_OBJECTS365 = dict(ann_file="annotations/objects365_v2_train_masks.json", data_prefix=dict(img="train/"))
_ADE20K = dict(
    ann_file="ade20k_panoptic_val.json",
    data_prefix=dict(img="images/validation/", seg="ade20k_panoptic_val/"),
)
_CITYSCAPES = dict(
    data_prefix=dict(img="leftImg8bit/val/", seg="gtFine/val/"), vocabulary=cityscapes_vocabulary()
)
_VSPW = dict(ann_file="val.txt", data_prefix=dict(img="data/"), vocabulary=vipseg_vocabulary())
_OVIS = dict(ann_file="annotations_valid.json", data_prefix=dict(img="valid/"))
_CLASSES = partial(
    _dataset, "ImageFolderDataset", ann_file=f"{CLASSES}.txt", data_prefix=dict(img=f"{CLASSES}/")
)
_CLASSES_OF_A_MAP = Vocabulary(Category(f"class {n}", is_thing=False, id=n) for n in range(255))
_MASKS = dict(
    data_prefix=dict(img="images/validation/", seg="annotations/validation/"), vocabulary=_CLASSES_OF_A_MAP
)
TARGETS: dict[str, Target] = {
    "png": Target("photo.png", _image, is_checked=True),
    "jpeg": Target("photo.jpg", _image),
    "bmp": Target("photo.bmp", _image),
    "tiff": Target("photo.tif", _image),
    "webp": Target("photo.webp", _image),
    "training jpeg": Target("photo.jpg", _training_image),
    "training png": Target("photo.png", _training_image, is_checked=True),
    "mp4": Target("film.mp4", _video),
    "mkv": Target("film.mkv", _video),
    "avi": Target("film.avi", _video),
    "vocabulary": Target("words.json", _vocabulary, has_fields=True),
    "result": Target("result.json", _result, has_fields=True),
    "video result": Target("results.json", _results, has_fields=True),
    "checkpoint": Target("weights.pth", _weights, is_checked=True),
    "safetensors": Target("weights.safetensors", _weights),
    "embeddings": Target("cache/*.safetensors", _cache, is_checked=True),
    "teacher": Target("cache/teacher.json", _cache, has_fields=True),
    "dump": Target("dump/samples/*.npz", _dump, is_checked=True),
    "manifest": Target("dump/*.json", _dump, has_fields=True),
    "detections": Target("annotations/detections_val2017.json", _detections, "data/coco", has_fields=True),
    "COCO instances": _set("CocoInstanceDataset", "coco", "annotations/instances_val2017.json", **_COCO),
    "COCO panoptic": _set("CocoPanopticDataset", "coco", "annotations/panoptic_val2017.json", **_PANOPTIC),
    "COCO panoptic PNG": _set(
        "CocoPanopticDataset", "coco", "annotations/panoptic_val2017/*.png", **_PANOPTIC
    ),
    "LVIS": _set(
        "LVISDataset",
        "coco",
        "annotations/lvis_v1_val.json",
        ann_file="annotations/lvis_v1_val.json",
        data_prefix=dict(img=""),
    ),
    "YouTube-VIS": _set(
        "YouTubeVISDataset", "youtube_vis_2019", "annotations/youtube_vis_2019_valid.json", **_YOUTUBE
    ),
    "VIPSeg PNG": _set("VIPSegDataset", "VIPSeg", "panomasks/val*/*.png", **_VIPSEG),
    "VIPSeg vocabulary": _set("VIPSegDataset", "VIPSeg", "vocabulary.json", **_VIPSEG),
    "DAVIS PNG": _set("DAVISDataset", "DAVIS", "Annotations/480p/*/*.png", **_DAVIS),
    "YouTube-VOS": _set("YouTubeVOSDataset", "YouTubeVOS", "valid/meta.json", **_VOS),
    "SA-1B": _set("SA1BDataset", "sa1b", "sa_*/*.json", data_prefix=dict(img="")),
    "pseudo labels": _set("CocoInstanceDataset", "coco", PSEUDO_LABELS, **_PSEUDO),
    "boxes only": _set("V3DetDataset", "coco", "annotations/instances_val2017.json", **_COCO),
    "Objects365": _set(
        "Objects365Dataset", "objects365v2", "annotations/objects365_v2_train_masks.json", **_OBJECTS365
    ),
    "ADE20K": _set("ADE20KDataset", "ADEChallengeData2016", "ade20k_panoptic_val.json", **_ADE20K),
    "ADE20K PNG": _set("ADE20KDataset", "ADEChallengeData2016", "ade20k_panoptic_val/*.png", **_ADE20K),
    "masks PNG": _set("MaskFolderDataset", "ADEChallengeData2016", "annotations/validation/*.png", **_MASKS),
    "Cityscapes PNG": _set("CityscapesDataset", "cityscapes", "gtFine/val/*/*Ids.png", **_CITYSCAPES),
    "VSPW PNG": _set("VSPWDataset", "VSPW", "data/*_val/mask/*.png", **_VSPW),
    "OVIS": _set("OVISDataset", "ovis", "annotations_valid.json", **_OVIS),
    "list of videos": _set("VIPSegDataset", "VIPSeg", "val.txt", **_VIPSEG),
    "list of classes": Target(f"{CLASSES}.txt", _CLASSES),
    "classified image": Target(f"{CLASSES}/*/*.png", _CLASSES),
}


def cases(seed: int, count: int, world: Path) -> list[Case]:
    """`count` mutants, the kinds of files in turn; of those with fields two of three change a field."""
    rng = random.Random(f"mutated files {seed}")
    names = list(TARGETS)
    mutants = []
    for number in range(count):
        name = names[number % len(names)]
        target = TARGETS[name]
        file = rng.choice(sorted((world / target.folder).glob(target.pattern)))
        data = file.read_bytes()
        if target.has_fields and number // len(names) % 3:
            what, text = mutate_json(data.decode(), rng)
            changed = text.encode("utf-8", "surrogatepass")
        else:
            what = rng.choice(list(BYTES))
            changed = BYTES[what](data, rng)
        place = file.relative_to(world / target.folder)
        mutants.append(
            Case(
                f"{number}: {name}, {place}: {what}",
                partial(_run, target, world / target.folder, place, changed),
            )
        )
    return mutants


def _run(target: Target, original: Path, place: Path, changed: bytes, folder: Path) -> Outcome:
    root = folder / "copy"
    shutil.copytree(original, root)
    file = root / place
    before = target.read(root, file) if target.is_checked else None
    file.write_bytes(changed)
    outcome, after = outcome_of(lambda: target.read(root, file), file.name, root)
    if target.is_checked and outcome.kind == RIGHT and not _same(before, after):
        return Outcome(FAILURE, "damage that the format could notice gives another result without an error")
    return outcome


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return np.array_equal(np.asarray(one), np.asarray(other))
