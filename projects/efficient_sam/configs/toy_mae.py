"""MAE in small: as toy_sami.py with the pixels of the masked patches in place of a teacher's embedding."""

_base_ = ["./toy_sami.py"]

model = dict(target="pixels", teacher=None)
train_dataloader = dict(
    dataset=dict(
        pipeline=[
            dict(type="LoadFrames"),
            dict(type="LargeScaleJitter", ratio_range=(0.8, 1.25)),
            dict(type="RandomFlip"),
            dict(type="PackClip"),
        ]
    )
)
