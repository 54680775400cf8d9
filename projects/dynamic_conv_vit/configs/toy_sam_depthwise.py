"""toy_sam.py with a dynamic depth-wise convolution instead of attention; MLPs take the parameters that it leaves."""

_base_ = ["./toy_sam.py"]

model = dict(
    image_encoder=dict(
        attention=dict(_delete_=True, type="DynamicDepthwiseTokens", kernel_size=3),
        mlp_ratio=361 / 128,
    )
)
