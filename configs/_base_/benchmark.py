"""What every benchmark shares. The model is that of $OMGSEG_MODEL, a config (tools/test.py --model sets it)."""

_base_ = ["{{$OMGSEG_MODEL:./models/omg_convnext_l.py}}", "./runtime.py"]

test_cfg = dict(type="TestLoop")
