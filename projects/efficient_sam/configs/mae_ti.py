"""MAE, the baseline: as sami_ti.py with pixels in place of SAM's embedding, so with crops and flips, and no teacher."""

_base_ = ["./sami_ti.py"]

model = dict(target="pixels", teacher=None)
train_dataloader = dict(
    dataset=dict(
        image_size=(224, 224),
        pipeline=[
            dict(type="LoadFrames"),
            dict(type="LargeScaleJitter", ratio_range=(1.0, 2.0)),
            dict(type="RandomFlip"),
            dict(type="PackClip"),
        ],
    )
)
