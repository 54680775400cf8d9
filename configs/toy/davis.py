"""Video object segmentation of the toy world, from the masks of the first frame."""

_base_ = ["./joint.py", "../_base_/datasets/davis17.py"]

test_dataloader = dict(_delete_=True, **_base_.davis17_test_dataloader)
test_dataloader["num_workers"] = 0
test_dataloader["dataset"].update(data_root=_base_.data_root + "DAVIS/", image_size=_base_.image_size)
test_evaluator = [_base_.davis17_evaluator]
