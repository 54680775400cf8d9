"""Panoptic segmentation with categories that the training never saw."""

_base_ = ["./joint.py"]

root = _base_.data_root + "coco_open_vocabulary/"

test_dataloader = dict(dataset=dict(data_root=root, tasks=("panoptic",)))
test_evaluator = [
    dict(
        type="CocoPanopticMetric",
        ann_file=root + "annotations/panoptic_val2017.json",
        seg_prefix=root + "annotations/panoptic_val2017/",
        prefix="open_vocabulary",
        groups=dict(
            novel=[
                "red striped",
                "green dotted",
                "blue checked",
                "yellow ringed",
                "purple plain",
                "cyan striped",
            ]
        ),
    )
]
