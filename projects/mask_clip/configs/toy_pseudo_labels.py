"""The network of MaskCLIP+, trained on a tenth of the labels and on MaskCLIP's labels of all images.

The labels are a file of `omgseg label --task semantic`; the README has the command.
"""

_base_ = ["./toy_plus.py"]
from omgseg import recipes

__root = _base_.toy_root + "mask_clip/"
__shared = dict(image_size=_base_.image_size, pipeline=[*recipes.LOAD, *_base_.augmentation, *recipes.PACK])

model = dict(clip_guided=None)
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type="JointDataset",
        datasets=dict(
            labelled=dict(
                type="MaskFolderDataset",
                data_root=__root + "train/",
                data_prefix=dict(img="images/", seg="masks/"),
                vocabulary=__root + "classes.json",
                indices=40,  # of 400
                **__shared,
            ),
            mask_clip=dict(
                type="CocoInstanceDataset",
                ann_file=__root + "pseudo_labels.json",
                data_prefix=dict(img=__root + "train/images/"),
                tasks=("semantic",),
                pseudo_labels=dict(sure_score=0.5),
                **__shared,
            ),
        ),
        repeat=dict(labelled=10),
    )
)
