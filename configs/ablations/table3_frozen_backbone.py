"""Table 3: the main joint training, whose image encoder is frozen."""

_base_ = ["../omg_coco_vipseg_ytvis.py"]
