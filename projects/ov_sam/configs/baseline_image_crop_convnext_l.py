"""SAM ViT-H makes the mask, the ConvNeXt-L CLIP of OMG-Seg names a crop. Weights: sam_vit_h_4b8939.pth."""

_base_ = ["./baseline_image_crop.py"]

__clip = dict(model_name="convnext_large_d_320", pretrained="laion2b_s29b_b131k_ft_soup")
segmenter = dict(clip=dict(type="ClipConvNeXt", **__clip), text_encoder=__clip)
