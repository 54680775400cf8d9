"""mmengine metrics: thin adapters from data samples to ``evaluation.functional``. Values are percent."""

from omgseg.evaluation.metrics.cityscapes_instance import CityscapesInstanceMetric
from omgseg.evaluation.metrics.coco_instance import CocoInstanceMetric
from omgseg.evaluation.metrics.coco_panoptic import CocoPanopticMetric
from omgseg.evaluation.metrics.davis import DavisMetric
from omgseg.evaluation.metrics.interactive import InteractiveMetric
from omgseg.evaluation.metrics.lvis import LVISMetric
from omgseg.evaluation.metrics.semantic import SemanticMetric
from omgseg.evaluation.metrics.video_panoptic import VideoPanopticMetric
from omgseg.evaluation.metrics.video_semantic import VideoSemanticMetric
from omgseg.evaluation.metrics.youtube_vis import YouTubeVISMetric
from omgseg.evaluation.metrics.youtube_vos import YouTubeVOSMetric

__all__ = [
    "CityscapesInstanceMetric",
    "CocoInstanceMetric",
    "CocoPanopticMetric",
    "DavisMetric",
    "InteractiveMetric",
    "LVISMetric",
    "SemanticMetric",
    "VideoPanopticMetric",
    "VideoSemanticMetric",
    "YouTubeVISMetric",
    "YouTubeVOSMetric",
]
