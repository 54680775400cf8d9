"""What every benchmark shares. Its model is that of another config; tools/test.py --model names one.

As in the published evaluation, class scores are fused with CLIP's own only where a benchmark says so.
"""

_base_ = ["./runtime.py"]

default_model = "{{ fileDirname }}/models/omg_convnext_l.py"
model = dict(test_cfg=dict(ensemble=False))  # what a benchmark changes in models of the default one's type
test_cfg = dict(type="TestLoop")
