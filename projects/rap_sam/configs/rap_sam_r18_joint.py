"""RAP-SAM's joint training with ResNet-18; see rap_sam_r50_joint.py."""

_base_ = ["./rap_sam_r50_joint.py"]

model = dict(image_encoder=dict(depth=18, pretrained="hf://timm/resnet18.tv_in1k/model.safetensors"))
