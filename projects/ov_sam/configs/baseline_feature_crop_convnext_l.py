"""SAM ViT-H makes the mask, the ConvNeXt-L CLIP of OMG-Seg sees the whole image, too. Weights: sam_vit_h_4b8939.pth."""

_base_ = ["./baseline_image_crop_convnext_l.py"]

segmenter = dict(type="FeatureCropNamer", image_size=1024)
