"""Fine-tune MobileSAM on COCO's panoptic segments, as configs/sam/finetune_coco.py does. Weights: mobile_sam.pt."""

_base_ = ["../../../configs/sam/finetune_coco.py"]
custom_imports = dict(imports=["omgseg.projects.mobile_sam"])

load_from = "mobile_sam.pt"
model = dict(image_encoder=dict(_delete_=True, type="MobileSamImageEncoder"))
