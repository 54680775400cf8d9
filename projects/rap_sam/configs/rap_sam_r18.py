"""RAP-SAM with ResNet-18, for images, videos and prompts. There are no published weights of it."""

_base_ = ["./rap_sam_r50.py"]

model = dict(image_encoder=dict(depth=18))
