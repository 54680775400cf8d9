"""All masks of the images of COCO val2017, without prompts and words: average recall. See data/README.md#coco.

For any model that finds all masks of an image (a Proposer). Classes play no role.
"""

_base_ = ["../_base_/benchmark.py", "../_base_/datasets/coco_instance.py"]

test_dataloader = _base_.coco_instance_test_dataloader
test_dataloader.dataset.update(type="CocoInstancePromptDataset", vocabulary=None, tasks=("everything",))
test_evaluator = [dict(type="ProposalMetric", ann_file=_base_.coco_instance_evaluator.ann_file)]
test_cfg = dict(type="ProposalLoop", points_per_side=32, max_overlap=0.9)

benchmark = {
    "proposals/AR@100": None,
    "proposals/AR@1000": None,
    "proposals/ARs@1000": None,
    "proposals/ARm@1000": None,
    "proposals/ARl@1000": None,
}
