"""A linear probe of what sami_ti.py has learned: as classify_ti.py with the image encoder frozen.

The learning rate is chosen.
"""

_base_ = ["./classify_ti.py"]

model = dict(freeze_image_encoder=True)
optim_wrapper = dict(optimizer=dict(lr=2e-3, weight_decay=0.0))
