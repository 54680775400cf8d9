"""MaskCLIP with OpenAI's ResNet-50."""

_base_ = ["./vit_b16.py"]

segmenter = dict(model_name="RN50-quickgelu")
