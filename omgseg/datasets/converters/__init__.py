"""Datasets whose evaluation needs files that are not distributed: made once, from what is distributed."""

from omgseg.datasets.converters.ade20k import convert_ade20k
from omgseg.datasets.converters.cityscapes import convert_cityscapes

__all__ = ["convert_ade20k", "convert_cityscapes"]
