"""COCO panoptic images as clips: two views of one image. See data/README.md#coco."""

_base_ = []
from omgseg import recipes

coco_pseudo_clips_train = recipes.train_images(
    "CocoPanopticDataset",
    "{{$OMGSEG_DATA:data}}/coco/",
    vocabulary="coco_panoptic",
    image_size=recipes.VIDEO_SIZE,
    pipeline=recipes.pseudo_clip_steps(),
    **recipes.coco_panoptic_files("train2017"),
)
