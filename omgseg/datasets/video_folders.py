"""Videos as folders of frames, with one label map a frame: what VIPSeg, VSPW, DAVIS and YouTube-VOS share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omgseg.datasets.base import SegmentationDataset
from omgseg.datasets.files import read_lines, require_folder
from omgseg.datasets.problems import noted, read_each
from omgseg.structures.png import image_size

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")


class VideoFolderDataset(SegmentationDataset):
    """One sample a video: ``<img>/<video>/<frame>.jpg`` with masks in ``<seg>/<video>/<frame>.png``.

    ``ann_file`` lists the videos, one a line. Subclasses may list them in another way, and put the two folders
    elsewhere.
    """

    def load_data_list(self) -> list[dict[str, Any]]:
        return read_each(self._entry, self._videos(), where=self.ann_file)

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
        with noted(str(images[0])):
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
