"""Objects365 v2 with pseudo masks, training only. See data/README.md#objects365."""

_base_ = []
from omgseg import recipes

objects365_v2_train = recipes.train_images(
    "Objects365Dataset",
    "{{$OMGSEG_DATA:data}}/objects365v2/",
    img="train/",
    ann_file="annotations/objects365_v2_train_masks.json",
    vocabulary="objects365_v2",
)
