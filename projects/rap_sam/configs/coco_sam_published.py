"""COCO-SAM as the released code evaluates it: one click on each mask of COCO val2017.

tools/test.py projects/rap_sam/configs/coco_sam_published.py rapsam_r50_12e.pth

See data/README.md#coco. configs/benchmarks/coco_interactive.py counts all masks, as they are annotated.
"""

_base_ = ["./rap_sam_r50.py", "../../../configs/_base_/datasets/coco_prompts.py"]
from omgseg import recipes

test_dataloader = _base_.coco_prompts_test_dataloader
test_dataloader.dataset.pipeline = [
    *recipes.LOAD,
    dict(type="Resize", masks=True),
    dict(type="PublishedClicks"),
    *recipes.PACK,
]
test_evaluator = [dict(type="PublishedInteractiveMetric", cut=True)]
test_cfg = dict(type="TestLoop")

benchmark = {"published/mIoU": dict(rap_sam_r50=57.9), "published/NoC@85": None, "published/NoC@90": None}
