"""toy_clip2sam.py with classified images of words that no mask shows; projects/ov_sam/toy_proof.py makes them."""

_base_ = ["./toy_clip2sam.py"]
from omgseg import recipes

train_dataloader = dict(
    dataset=dict(
        datasets=dict(
            classes=dict(
                type="ImageFolderDataset",
                data_root=_base_.toy_root + "class_images/",
                data_prefix=dict(img=""),
                # as large as things are in the other images
                pipeline=[*recipes.LOAD, dict(type="RandomFlip"), *recipes.PACK],
            ),
        ),
    ),
)
