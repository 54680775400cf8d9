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
SEGMENTERS = Registry(
    "segmenter",
    scope="omgseg",
    locations=["omgseg.models.omgseg.adapter", "omgseg.models.sam.adapter", "omgseg.guests.loading"],
)
"""What :func:`omgseg.load` builds: callables ``(config, weights, device, dtype, **options)`` that return a loaded
:class:`~omgseg.protocols.Segmenter`; ``options`` are the other keys of the config's ``segmenter``."""
OPTIM_WRAPPERS = _child("optim_wrapper", root.OPTIM_WRAPPERS, "omgseg.engine")

# Nothing of ours is in these. Without a child of scope "omgseg" mmengine would warn at every look-up.
OPTIMIZERS = _child("optimizer", root.OPTIMIZERS)
OPTIM_WRAPPER_CONSTRUCTORS = _child("optimizer wrapper constructor", root.OPTIM_WRAPPER_CONSTRUCTORS)
PARAM_SCHEDULERS = _child("parameter scheduler", root.PARAM_SCHEDULERS)
LOG_PROCESSORS = _child("log_processor", root.LOG_PROCESSORS)
EVALUATORS = _child("evaluator", root.EVALUATOR)
VISBACKENDS = _child("vis_backend", root.VISBACKENDS)
MODEL_WRAPPERS = _child("model_wrapper", root.MODEL_WRAPPERS)
WEIGHT_INITIALIZERS = _child("weight initializer", root.WEIGHT_INITIALIZERS)
FUNCTIONS = _child("function", root.FUNCTIONS)
