"""Stage 2 of OV-SAM, CLIP2SAM, after sam2clip.py: masks and names of the frequent and common classes of LVIS, 866 of
1203. As clip2sam_coco.py, but for the data and a resizing by 0.1 to 2.0."""

_base_ = ["./clip2sam_coco.py"]
from omgseg import recipes

model = dict(base_words=None)  # those of the data, which the checkpoint will hold
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        **recipes.train_images(
            "LVISDataset",
            "{{$OMGSEG_DATA:data}}/coco/",
            img="",
            ann_file="annotations/lvis_v1_train.json",
            vocabulary="lvis_v1",
            only=dict(frequency=["f", "c"]),
        ),
    ),
)
