"""toy_sam_ln_then_relu.py, whose layer normalisation has a weight and a bias for each key position."""

_base_ = ["./toy_sam_ln_then_relu.py"]

model = dict(image_encoder=dict(attention=dict(affine=True)))
