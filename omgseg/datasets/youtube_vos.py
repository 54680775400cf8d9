"""YouTube-VOS: video object segmentation, with objects that enter later than in the first frame."""

from __future__ import annotations

from typing import Any

from omgseg.datasets.files import read_json
from omgseg.datasets.video_folders import VideoFolderDataset
from omgseg.registry import DATASETS


@DATASETS.register_module()
class YouTubeVOSDataset(VideoFolderDataset):
    """YouTube-VOS 2018 and 2019 in their official folders (https://youtube-vos.org): objects without classes.

    ``ann_file`` is ``valid/meta.json``, ``data_prefix`` has ``img`` (``valid/JPEGImages``, or
    ``valid_all_frames/JPEGImages`` for the full frame rate) and ``seg`` (``valid/Annotations``, palette PNGs whose
    numbers are object ids). The valid and test splits have masks of the frames only in which objects appear first;
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
