"""Videos as folders of frames, with one label map per frame: VIPSeg, VSPW, DAVIS and YouTube-VOS."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omgseg.datasets.base import SegmentationDataset
from omgseg.datasets.files import IMAGE_SUFFIXES, read_json, read_lines, require_folder
from omgseg.datasets.problems import collecting, read_all
from omgseg.datasets.vocabularies import load_vocabulary
from omgseg.registry import DATASETS
from omgseg.structures.label_png import image_size


class VideoFolderDataset(SegmentationDataset):
    """One sample per video: ``<img>/<video>/<frame>.jpg`` with masks in ``<seg>/<video>/<frame>.png``.

    ``ann_file`` lists the videos, one per line. Subclasses may list them in another way, and put the two folders
    elsewhere.
    """

    def load_data_list(self) -> list[dict[str, Any]]:
        return read_all(self._entry, self._videos(), where=self.ann_file)

    def _videos(self) -> list[str]:
        return read_lines(self.ann_file, self.README_ANCHOR)

    def _entry(self, video: str) -> dict[str, Any]:
        folder = require_folder(self._image_folder(video), self.README_ANCHOR)
        images = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
        if not images:
            raise FileNotFoundError(f"folder {folder} has no images; see data/README.md#{self.README_ANCHOR}")
        masks = {path.stem: path for path in self._existing_mask_folder(video).glob("*.png")}
        frames: list[dict[str, Any]] = []
        for index, path in enumerate(images):
            frame = {"img_path": str(path), "frame_id": index}
            if path.stem in masks:
                frame["seg_map_path"] = str(masks[path.stem])
            frames.append(frame)
        width = height = 0
        with collecting(str(images[0])):
            width, height = image_size(images[0])
        return {
            "frames": frames,
            "is_video": True,
            "video_id": video,
            "video_length": len(frames),
            "height": height,
            "width": width,
        }

    def _image_folder(self, video: str) -> Path:
        return Path(self.data_prefix["img"]) / video

    def _mask_folder(self, video: str) -> Path:
        return Path(self.data_prefix["seg"]) / video

    def _existing_mask_folder(self, video: str) -> Path:
        """Videos to be tested may have no masks."""
        folder = self._mask_folder(video)
        return folder if self.test_mode else require_folder(folder, self.README_ANCHOR)


@DATASETS.register_module()
class VIPSegDataset(VideoFolderDataset):
    """VIPSeg in its official folders (https://github.com/VIPSeg-Dataset/VIPSeg-Dataset).

    ``ann_file`` is a split file (``train.txt``), ``data_prefix`` has ``img`` (``imgs/``) and ``seg``
    (``panomasks/``); the videos of the test split have no masks. A category id of the vocabulary is the class
    of the masks counted from 0, as in ``panoVIPSeg_categories.json``.
    """

    README_ANCHOR = "vipseg"
    SEG_FORMAT = "vipseg"
    SOURCE = "vipseg"
    TASKS = ("panoptic",)

    def __init__(self, *args: Any, vocabulary: Any = None, **kwargs: Any) -> None:
        super().__init__(*args, vocabulary=vocabulary or load_vocabulary("vipseg"), **kwargs)


@DATASETS.register_module()
class VSPWDataset(VideoFolderDataset):
    """VSPW in its official folders (https://www.vspwdataset.com).

    ``ann_file`` is a split file (``val.txt``), ``data_prefix`` has ``img``, the folder ``data/`` of both frames
    (``<video>/origin/``) and masks (``<video>/mask/``); the videos of the test split have no masks.

    Its 124 classes are VIPSeg's, which relabelled the same videos, in the same order: ``label_num_dic_final.json``
    counts them from 1, and a category id of the vocabulary is one less, as in VIPSeg's files. So the vocabulary is
    ``"vipseg"`` too.
    """

    README_ANCHOR = "vspw"
    SEG_FORMAT = "vspw"
    SOURCE = "vspw"
    TASKS = ("semantic",)
    PREFIXES = ("img",)

    def __init__(self, *args: Any, vocabulary: Any = None, **kwargs: Any) -> None:
        super().__init__(*args, vocabulary=vocabulary or load_vocabulary("vipseg"), **kwargs)

    def _image_folder(self, video: str) -> Path:
        return Path(self.data_prefix["img"]) / video / "origin"

    def _mask_folder(self, video: str) -> Path:
        return Path(self.data_prefix["img"]) / video / "mask"


@DATASETS.register_module()
class DAVISDataset(VideoFolderDataset):
    """DAVIS 2017 in its official folders (https://davischallenge.org): objects without classes.

    ``ann_file`` is ``ImageSets/2017/val.txt``, ``data_prefix`` has ``img`` (``JPEGImages/480p``) and ``seg``
    (``Annotations/480p``, palette PNGs whose numbers are object ids).
    """

    README_ANCHOR = "davis"
    SEG_FORMAT = "davis"
    SOURCE = "davis"
    TASKS = ("vos",)
    CLASS_AGNOSTIC = True


@DATASETS.register_module()
class YouTubeVOSDataset(VideoFolderDataset):
    """YouTube-VOS 2018 and 2019 in their official folders (https://youtube-vos.org): objects without classes.

    ``ann_file`` is ``valid/meta.json``, ``data_prefix`` has ``img`` (``valid/JPEGImages``, or
    ``valid_all_frames/JPEGImages`` for the full frame rate) and ``seg`` (``valid/Annotations``, palette PNGs whose
    numbers are object ids). The valid and test splits have masks only of the frames in which objects appear first;
    ``LoadSegments(first_masks_only=True)`` reads these.
    """

    README_ANCHOR = "youtube-vos"
    SEG_FORMAT = "davis"
    SOURCE = "youtube_vos"
    TASKS = ("vos",)
    CLASS_AGNOSTIC = True

    def _videos(self) -> list[str]:
        return sorted(read_json(self.ann_file, ("videos",), self.README_ANCHOR)["videos"])

    def _entry(self, video: str) -> dict[str, Any]:
        entry = super()._entry(video)
        if not any("seg_map_path" in frame for frame in entry["frames"]):
            raise FileNotFoundError(
                f"video {video}: no mask in {self._mask_folder(video)} has the name of one of its "
                f"{entry['video_length']} frames in {self._image_folder(video)}; see "
                f"data/README.md#{self.README_ANCHOR}"
            )
        return entry
