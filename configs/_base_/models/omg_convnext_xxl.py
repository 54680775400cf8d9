# OMG-Seg with the frozen ConvNeXt-XXL CLIP of the paper; everything behind the image encoder is as with ConvNeXt-L.
_base_ = ["./omg_convnext_l.py"]

clip_name = "convnext_xxlarge"
clip_weights = "laion2b_s34b_b82k_augreg_soup"

model = dict(
    image_encoder=dict(model_name=clip_name, pretrained=clip_weights),
    text_encoder=dict(model_name=clip_name, pretrained=clip_weights),
)
