"""The small SAM of configs/toy/sam.py with its attention as two dynamic convolutions, trained for 300 iterations.

python tools/train.py projects/dynamic_conv_vit/configs/toy_sam.py

With softmax, as here, it is that SAM; the configs beside this one change the activation or the mixing.
"""

_base_ = ["../../../configs/toy/sam.py"]
custom_imports = dict(imports=["omgseg.projects.dynamic_conv_vit"])

max_iters = 300

model = dict(image_encoder=dict(attention=dict(type="DynamicGridAttention", activation="softmax")))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=50, end=max_iters, eta_min=1e-5),
]
train_cfg = dict(max_iters=max_iters, val_interval=10 * max_iters)
default_hooks = dict(checkpoint=dict(interval=max_iters))
