"""DAVIS 2017: video object segmentation from the masks of the first frame."""

from __future__ import annotations

from omgseg.datasets.video_folders import VideoFolderDataset
from omgseg.registry import DATASETS


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
