"""toy_sam.py with ReLU / N between the two dynamic convolutions."""

_base_ = ["./toy_sam.py"]

model = dict(image_encoder=dict(attention=dict(activation="relu_over_n")))
