"""What every benchmark shares. tools/test.py --model puts another config's model in; `readout` is merged into it again.

As in the published evaluation, class scores are fused with CLIP's own only where a benchmark says so.
"""

_base_ = ["./models/omg_convnext_l.py", "./runtime.py"]

readout = dict(ensemble=False)  # what a benchmark changes in the `test_cfg` of models
model = dict(test_cfg=readout)
test_cfg = dict(type="TestLoop")
