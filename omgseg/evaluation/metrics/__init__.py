"""mmengine metrics: thin adapters from data samples to ``evaluation.functional``. Values are percent."""

from omgseg.evaluation.metrics.image import (
    CityscapesInstanceMetric,
    CocoInstanceMetric,
    CocoPanopticMetric,
    LVISMetric,
    ProposalMetric,
)
from omgseg.evaluation.metrics.interactive import InteractiveMetric, NamingMetric, RefinementMetric
from omgseg.evaluation.metrics.semantic import SemanticMetric, VideoSemanticMetric
from omgseg.evaluation.metrics.video import (
    DavisMetric,
    VideoPanopticMetric,
    YouTubeVISMetric,
    YouTubeVOSMetric,
)

__all__ = [
    "CityscapesInstanceMetric",
    "CocoInstanceMetric",
    "CocoPanopticMetric",
    "DavisMetric",
    "InteractiveMetric",
    "LVISMetric",
    "NamingMetric",
    "ProposalMetric",
    "RefinementMetric",
    "SemanticMetric",
    "VideoPanopticMetric",
    "VideoSemanticMetric",
    "YouTubeVISMetric",
    "YouTubeVOSMetric",
]
