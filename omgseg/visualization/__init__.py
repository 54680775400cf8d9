"""Drawing of every task's result. Functions on arrays: RGB images in, RGB images out."""

from omgseg.structures.png import write_png
from omgseg.visualization.files import write_video_gif
from omgseg.visualization.maps import draw_objects, draw_panoptic, draw_semantic
from omgseg.visualization.masks import draw_instances, draw_prompts
from omgseg.visualization.panels import contact_sheet, enlarge, panels
from omgseg.visualization.samples import GroundTruth, draw_predictions, draw_sample, write_sample

__all__ = [
    "GroundTruth",
    "contact_sheet",
    "draw_instances",
    "draw_objects",
    "draw_panoptic",
    "draw_predictions",
    "draw_prompts",
    "draw_sample",
    "draw_semantic",
    "enlarge",
    "panels",
    "write_png",
    "write_sample",
    "write_video_gif",
]
