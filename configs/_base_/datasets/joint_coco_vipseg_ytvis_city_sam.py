"""The five-source mix of the paper: COCO as clips, COCO as prompts, VIPSeg, YouTube-VIS 2019 and Cityscapes."""

_base_ = ["./joint_coco_vipseg_ytvis.py", "./cityscapes.py"]

train_dataloader = dict(
    dataset=dict(
        datasets=dict(coco_panoptic=None, cityscapes={**_base_.cityscapes_train, "image_size": (1280, 736)}),
        repeat=dict(cityscapes=15),
    )
)
