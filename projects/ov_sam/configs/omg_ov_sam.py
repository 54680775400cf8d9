"""OMG-Seg and OV-SAM on one frozen ConvNeXt-L: segmentation of images and videos, clicks and names.

Weights: projects/ov_sam/join.py makes one file of those of OMG-Seg and those of ov_sam_convnext_l_coco.py.
"""

_base_ = ["../../../configs/omg_coco_vipseg_ytvis.py"]

from mmengine import config as __config

custom_imports = dict(imports=["omgseg.projects.ov_sam"])
model = dict(
    _delete_=True,
    type="OMGOVSam",
    omg_seg=_base_.model,
    ov_sam=__config.Config.fromfile("{{ fileDirname }}/ov_sam_convnext_l_coco.py").model.to_dict(),
)
