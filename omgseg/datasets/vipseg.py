"""VIPSeg: video panoptic segmentation in the wild."""

from __future__ import annotations

from typing import Any

from omgseg.datasets.video_folders import VideoFolderDataset
from omgseg.datasets.vocabularies import load_vocabulary
from omgseg.registry import DATASETS


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
