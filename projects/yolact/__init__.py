"""YOLACT and YOLACT++ (arXiv:1904.02689, 1912.06218): instances as sums of prototypes, in real time."""

from omgseg.projects.yolact.adapter import YolactSegmenter
from omgseg.projects.yolact.model import Yolact

__all__ = ["Yolact", "YolactSegmenter"]
