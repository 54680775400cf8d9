"""Stage 2 of OV-SAM, CLIP2SAM, after sam2clip.py: masks and names of COCO's 48 base classes.

Published: 12 epochs, learning rate 1e-4, a tenth of it after epochs 8 and 11, gradient clip 0.01, 2 images on each of 8
GPUs; flips, resizing by 0.9 to 2.0, crops of 1024 pixels; 40 prompts an image, half of them boxes, half points.
The published weights have a label token without a part in the names (`published`); here it has one.
"""

_base_ = ["./ov_sam_coco.py", "../../../configs/_base_/schedules/joint_12e.py"]
from omgseg import recipes

model = dict(published=False, sam2clip="work_dirs/sam2clip/epoch_24.pth")
train_dataloader = dict(
    batch_size=2,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=True),
    dataset=recipes.train_images(
        "CocoInstanceDataset",
        "{{$OMGSEG_DATA:data}}/coco/",
        img="train2017/",
        ann_file="annotations/instances_train2017.json",
        vocabulary="coco_panoptic",
        only=dict(id=recipes.COCO_48_17["base"]),
        jitter=(0.9, 2.0),
    ),
)
train_cfg = dict(val_interval=13)
val_cfg = test_cfg = None
