"""MaskCLIP with the ConvNeXt-L CLIP of OMG-Seg."""

_base_ = ["./vit_b16.py"]

segmenter = dict(model_name="convnext_large_d_320", pretrained="laion2b_s29b_b131k_ft_soup")
