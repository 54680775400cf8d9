"""Video panoptic segmentation of the toy world."""

_base_ = ["./joint.py"]

test_dataloader = dict(_delete_=True, **_base_.vipseg_test_dataloader)
test_dataloader["num_workers"] = 0
test_dataloader["dataset"].update(
    data_root=_base_.data_root + "VIPSeg/",
    vocabulary=_base_.data_root + "VIPSeg/vocabulary.json",
    image_size=_base_.image_size,
)
test_evaluator = [_base_.vipseg_evaluator]
