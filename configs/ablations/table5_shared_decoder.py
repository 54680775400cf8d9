"""Table 5: one query decoder for images and clips, the main joint training."""

_base_ = ["../omg_coco_vipseg_ytvis.py"]
