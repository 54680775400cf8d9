"""YouTube-VIS and OVIS, from the official per-video JSON."""

from __future__ import annotations

import os
from collections import defaultdict
from typing import Any

from omgseg.datasets.base import SegmentationDataset
from omgseg.datasets.files import annotations_of, read_json, read_sides
from omgseg.datasets.problems import ProblemKind, collecting, read_all, report_problem
from omgseg.registry import DATASETS
from omgseg.structures.run_lengths import encode_segmentation


@DATASETS.register_module()
class YouTubeVISDataset(SegmentationDataset):
    """YouTube-VIS 2019 and 2021 (https://youtube-vos.org/dataset/vis/): one sample per video.

    ``ann_file`` is the official file as downloaded, whose videos list ``file_names`` and whose annotations
    are whole tracks. The files of the valid and test splits have no annotations. ``data_prefix`` has the
    folder ``img``, below which ``file_names`` are, unless they are absolute paths.
    """

    README_ANCHOR = "youtube-vis"
    SEG_FORMAT = "rle"
    SOURCE = "youtube_vis"
    TASKS = ("instance",)
    PREFIXES = ("img",)
    HAS_SCORES = True

    def load_data_list(self) -> list[dict[str, Any]]:
        data = read_json(self.ann_file, ("videos", "categories"), self.README_ANCHOR)
        if "images" in data or not all("file_names" in video for video in data["videos"]):
            raise ValueError(
                f"{self.ann_file} is in the per-frame COCO-video schema (field 'images'), a conversion; use "
                f"the official file as downloaded; see "
                f"data/README.md#{self.README_ANCHOR}"
            )
        annotations = annotations_of(data, self.ann_file)
        if not annotations and not self.test_mode:
            raise ValueError(
                f"{self.ann_file}: 'annotations' is empty, training needs the official file of the train "
                f"split; see data/README.md#{self.README_ANCHOR}"
            )
        self.use_categories(data["categories"], (track["category_id"] for track in annotations))
        tracks = defaultdict(list)
        for track in annotations:
            tracks[track["video_id"]].append(track)
        return read_all(
            lambda video: self._entry(video, tracks[video["id"]]), data["videos"], where=self.ann_file
        )

    def _entry(self, video: dict[str, Any], tracks: list[dict[str, Any]]) -> dict[str, Any]:
        height, width = read_sides(video, f"{self.ann_file}, video {video['id']}")
        length, folder = len(video["file_names"]), self.data_prefix["img"]
        frames: list[dict[str, Any]] = [
            {"img_path": os.path.join(folder, name), "frame_id": index, "instances": []}
            for index, name in enumerate(video["file_names"])
        ]
        for track in tracks:
            if len(track["segmentations"]) != length:
                text = (
                    f"{self.ann_file}: annotation {track['id']} has {len(track['segmentations'])} "
                    f"segmentations, its video {video['id']} has {length} frames"
                )
                report_problem(ProblemKind.ANNOTATION, ValueError(text))
                continue
            where = f"{self.ann_file}, annotation {track['id']}"
            if track.get("iscrowd"):
                continue
            score = {}
            if self.pseudo_labels is not None:
                if not self.pseudo_labels.finds(track, where):
                    continue
                score["score"] = track["score"]
            areas = dict(enumerate(track.get("areas") or ()))
            for t, (frame, segmentation) in enumerate(zip(frames, track["segmentations"], strict=True)):
                if segmentation is None:
                    continue
                with collecting(where):
                    rle = encode_segmentation(segmentation, height, width, where)
                    instance = {"id": track["id"], "category_id": track["category_id"], "segmentation": rle}
                    frame["instances"].append({**instance, "area": areas.get(t), **score})
        return {
            "frames": frames,
            "is_video": True,
            "video_id": video["id"],
            "video_length": length,
            "height": height,
            "width": width,
        }


@DATASETS.register_module()
class OVISDataset(YouTubeVISDataset):
    """Occluded VIS (https://songbai.site/ovis/): the schema of YouTube-VIS, with frames in ``<img>/<video>/``."""

    README_ANCHOR = "ovis"
    SOURCE = "ovis"
