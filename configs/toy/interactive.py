"""One click for each mask of the toy world's images."""

_base_ = ["./joint.py"]

test_dataloader = dict(_delete_=True, **_base_.coco_prompts_test_dataloader)
test_dataloader["num_workers"] = 0
test_dataloader["dataset"].update(data_root=_base_.data_root + "coco/", image_size=_base_.image_size)
test_evaluator = [_base_.coco_prompts_evaluator]
