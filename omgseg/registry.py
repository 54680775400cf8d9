"""The registries of omgseg: children of mmengine's, with scope ``omgseg``.

A registry imports its sub-package the first time something is looked up in it, so ``import omgseg`` stays light.
Configs set ``default_scope = "omgseg"``; parts of mmdet are reached by their scope, e.g. ``type="mmdet.DiceLoss"``.
"""

from mmengine import registry as root
from mmengine.registry import Registry


def _child(name: str, parent: Registry, *locations: str) -> Registry:
    return Registry(name, parent=parent, scope="omgseg", locations=list(locations))


MODELS = _child("model", root.MODELS, "omgseg.models")
DATASETS = _child("dataset", root.DATASETS, "omgseg.datasets")
TRANSFORMS = _child("transform", root.TRANSFORMS, "omgseg.datasets.transforms")
DATA_SAMPLERS = _child("data sampler", root.DATA_SAMPLERS, "omgseg.datasets.samplers")
METRICS = _child("metric", root.METRICS, "omgseg.evaluation.metrics")
HOOKS = _child("hook", root.HOOKS, "omgseg.engine")
LOOPS = _child("loop", root.LOOPS, "omgseg.engine")
RUNNERS = _child("runner", root.RUNNERS, "omgseg.engine")
VISUALIZERS = _child("visualizer", root.VISUALIZERS, "omgseg.visualization")
