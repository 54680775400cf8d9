"""Table 3: the main joint training with an image encoder that trains, too."""

_base_ = ["../omg_coco_vipseg_ytvis.py"]

model = dict(image_encoder=dict(frozen=False))
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(image_encoder=dict(lr_mult=0.1))))
