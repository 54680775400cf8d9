"""Panoptic segmentation with categories that the training never saw."""

_base_ = ["./joint.py"]

from omgseg import recipes

root = _base_.data_root + "coco_open_vocabulary/"

test_dataloader = dict(dataset=dict(data_root=root, tasks=("panoptic",)))
__novel = ["red striped", "green dotted", "blue checked", "yellow ringed", "purple plain", "cyan striped"]
test_evaluator = recipes.coco_panoptic_metrics(
    root + "annotations/", "panoptic_val2017", prefix="open_vocabulary", groups=dict(novel=__novel)
)
