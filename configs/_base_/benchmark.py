"""What every benchmark shares. The model is that of $OMGSEG_MODEL, a config (tools/test.py --model sets it).

As in the published evaluation, class scores are fused with CLIP's own only where a benchmark says so.
"""

_base_ = ["{{$OMGSEG_MODEL:./models/omg_convnext_l.py}}", "./runtime.py"]

model = dict(test_cfg=dict(ensemble=False))
test_cfg = dict(type="TestLoop")
