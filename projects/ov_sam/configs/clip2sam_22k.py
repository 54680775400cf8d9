"""Stage 2 of OV-SAM with the words of 22,000 classes and more: LVIS as in clip2sam_lvis.py, the boxes of V3Det and of
Objects365, and the classified images of ImageNet-21k.

Only LVIS has masks. A box is prompted as a box, a classified image is its own box; both take no mask loss. What the
paper's training on more data repeats and weights is not published; here every source is gone through once.
"""

_base_ = ["./clip2sam_lvis.py"]
from omgseg import recipes

__data = "{{$OMGSEG_DATA:data}}/"
train_dataloader = dict(
    batch_sampler=dict(type="SourceBatchSampler"),
    dataset=dict(
        _delete_=True,
        type="JointDataset",
        datasets=dict(
            lvis=_base_.train_dataloader.dataset,
            v3det=recipes.train_images(
                "V3DetDataset", __data + "V3Det/", img="", ann_file="annotations/v3det_2023_v1_train.json"
            ),
            objects365=recipes.train_images(
                "Objects365Dataset",
                __data + "objects365v2/",
                img="train/",
                ann_file="annotations/zhiyuan_objv2_train.json",
                vocabulary="objects365_v2",
                boxes_only=True,
            ),
            imagenet=dict(
                type="ImageFolderDataset",
                data_root=__data + "imagenet21k/",
                ann_file="words.txt",
                data_prefix=dict(img="images/"),
                image_size=recipes.IMAGE_SIZE,
                pipeline=recipes.whole_image_steps(),
            ),
        ),
    ),
)
