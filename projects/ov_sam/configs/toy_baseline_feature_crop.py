"""The toy world's SAM (configs/toy/sam.py) makes the mask, its CLIP sees the whole image, at its own size, too."""

_base_ = ["./toy_baseline_image_crop.py"]

segmenter = dict(type="FeatureCropNamer", image_size=128)
