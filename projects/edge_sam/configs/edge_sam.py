"""EdgeSAM: SAM's prompt encoder and mask decoder behind RepViT-M1.

Weights: edge_sam.pth, edge_sam_3x.pth, edge_sam_10x.pth (S-Lab License 1.0: non-commercial use only).
"""

_base_ = ["../../../configs/sam/sam_vit_b.py"]
custom_imports = dict(imports=["omgseg.projects.edge_sam"])

model = dict(image_encoder=dict(_delete_=True, type="EdgeSamImageEncoder"))
# The IoU head is not distilled.
segmenter = dict(scores="stability")
