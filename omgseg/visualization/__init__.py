"""Draws results: one renderer for all tasks, with functions from RGB arrays to RGB arrays."""

from omgseg.visualization.paint import draw_boxes, draw_clicks
from omgseg.visualization.render import render, segment_color
from omgseg.visualization.samples import GroundTruth, contact_sheet, draw_sample, side_by_side, write_sample
from omgseg.visualization.video import VideoWriter

__all__ = [
    "GroundTruth",
    "VideoWriter",
    "contact_sheet",
    "draw_boxes",
    "draw_clicks",
    "draw_sample",
    "render",
    "segment_color",
    "side_by_side",
    "write_sample",
]
