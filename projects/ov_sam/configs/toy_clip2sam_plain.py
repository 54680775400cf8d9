"""toy_clip2sam.py without the adapter: CLIP's features are projected to SAM's embedding, without blocks and without
stage 1. The projection and the decoder learn together, as fast as new parts do."""

_base_ = ["./toy_clip2sam.py"]

model = dict(image_encoder=dict(depth=0), sam2clip=None, train_adapter=True)
optim_wrapper = dict(paramwise_cfg=dict(_delete_=True))
