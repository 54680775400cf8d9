"""Video object segmentation of YouTube-VOS, for the challenge's server. See data/README.md#youtube-vos.

python tools/test.py configs/submissions/youtube_vos.py weights.safetensors
"""

_base_ = ["../_base_/benchmark.py", "../_base_/datasets/youtube_vos.py"]

test_dataloader = _base_.youtube_vos_test_dataloader
test_evaluator = [_base_.youtube_vos_evaluator]
