"""toy_sam.py with ReLU, then layer normalisation over the keys, between the two dynamic convolutions."""

_base_ = ["./toy_sam.py"]

model = dict(image_encoder=dict(attention=dict(activation="relu_then_ln")))
