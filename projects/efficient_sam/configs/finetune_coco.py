"""Fine-tune EfficientSAM-Ti on COCO's panoptic segments, as configs/sam/finetune_coco.py does. Weights:
efficient_sam_vitt.pt.

Boxes and several clicks are then answered with the mask for unambiguous prompts, which this recipe trains.
"""

_base_ = ["../../../configs/sam/finetune_coco.py"]
custom_imports = dict(imports=["omgseg.projects.efficient_sam"])

load_from = "efficient_sam_vitt.pt"
model = dict(
    type="EfficientSAM",
    image_encoder=dict(_delete_=True, type="EfficientSamImageEncoder", image_size=1024),
    prompt_encoder=dict(type="EfficientSamPromptEncoder"),
    mask_decoder=dict(type="EfficientSamMaskDecoder"),
    train_cfg=dict(num_clicks=4),  # with the first prompt's two, the six points of a query
)
