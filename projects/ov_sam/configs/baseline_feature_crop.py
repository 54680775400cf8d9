"""SAM ViT-H makes the mask, CLIP's RN50x16 sees the whole image, too. Weights: sam_vit_h_4b8939.pth."""

_base_ = ["./baseline_image_crop.py"]

segmenter = dict(type="FeatureCropNamer", image_size=1024)
