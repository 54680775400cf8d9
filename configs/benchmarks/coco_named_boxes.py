"""Names of COCO val2017's objects, whose boxes are given: the accuracy of words for masks.

For models that take boxes and name masks. Each object of the instance annotations that is not a crowd; the words are
all things. See data/README.md#coco.
"""

_base_ = ["../_base_/benchmark.py", "../_base_/datasets/coco_instance.py"]
from omgseg import recipes

test_dataloader = _base_.coco_instance_test_dataloader
test_dataloader.dataset.pipeline = recipes.TEST_BOXES
test_evaluator = [dict(type="NamingMetric")]
test_cfg = dict(type="NamedBoxLoop")

benchmark = {"naming/Acc": None, "naming/mIoU": None}
