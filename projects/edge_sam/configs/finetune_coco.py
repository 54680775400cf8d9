"""Fine-tune EdgeSAM on COCO's panoptic segments, as configs/sam/finetune_coco.py does.

Weights: edge_sam.pth (S-Lab License 1.0: non-commercial use only, what is trained from them included).
"""

_base_ = ["../../../configs/sam/finetune_coco.py"]
custom_imports = dict(imports=["omgseg.projects.edge_sam"])

load_from = "edge_sam.pth"
model = dict(image_encoder=dict(_delete_=True, type="EdgeSamImageEncoder"))
