"""MaskCLIP with the toy CLIP and both refinements, as it teaches."""

_base_ = ["./toy.py"]

segmenter = dict(denoising=0.5, smoothing=1.0)
