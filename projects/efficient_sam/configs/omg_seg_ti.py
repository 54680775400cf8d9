"""OMG-Seg on COCO panoptic with the ViT of EfficientSAM-Ti, pre-trained by sami_ti.py, as image encoder.

The paper puts its ViTs into a detector (its Table 2) and a model of semantic segmentation (its Table 3); this head does
both at once. The learning rate of the ViT, a tenth of the head's, is chosen.
"""

_base_ = ["../../../configs/ablations/table3_coco_only.py"]
custom_imports = dict(imports=["omgseg.projects.efficient_sam"])

model = dict(
    image_encoder=dict(
        _delete_=True,
        type="VitPyramidEncoder",
        pretrained="work_dirs/sami_ti/epoch_100.pth",
        vit=dict(type="EfficientSamImageEncoder", width=192, num_heads=3, with_checkpoint=True),
    ),
    test_cfg=dict(ensemble=False),  # it is no CLIP, and says nothing about words
)
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={"image_encoder.vit": dict(lr_mult=0.1)}))
