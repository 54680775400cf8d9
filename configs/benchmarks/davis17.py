"""Video object segmentation of DAVIS 2017: every remembered tube may continue an object. See data/README.md#davis."""

_base_ = ["./davis17_ov.py"]

readout = dict(num_proposals=100)
model = dict(test_cfg=readout)
test_evaluator = [{**_base_.davis17_evaluator, "submission": "work_dirs/submissions/davis17.zip"}]

benchmark = {"davis/J&F": dict(_delete_=True), "davis/J": None, "davis/F": None}
