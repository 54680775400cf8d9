"""toy_sam.py with layer normalisation over the keys, then ReLU, between the two dynamic convolutions."""

_base_ = ["./toy_sam.py"]

model = dict(image_encoder=dict(attention=dict(activation="ln_then_relu")))
