"""The protocol of the small SAMs on the toy world: box, centre, and two corrective points on each."""

_base_ = ["../../../configs/_base_/benchmark.py"]
from omgseg import recipes

test_dataloader = recipes.test_loader(
    "CocoPromptDataset",
    "{{$OMGSEG_TOY:work_dirs/demo}}/data/coco/",
    **recipes.coco_panoptic_files("val2017"),
    image_size=(256, 256),
    pipeline=recipes.TEST_BOXES,
)
test_dataloader["num_workers"] = 0
test_evaluator = [dict(type="RefinementMetric")]
test_cfg = dict(type="RefinementLoop", num_points=2, frame=256)
segmenter = dict(single_mask=True)  # as published: a single click gets one mask, not the best of three
