"""VSPW: video semantic segmentation in the wild."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omgseg.datasets.video_folders import VideoFolderDataset
from omgseg.datasets.vocabularies import load_vocabulary
from omgseg.registry import DATASETS


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
