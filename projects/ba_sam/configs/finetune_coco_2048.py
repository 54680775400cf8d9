"""Fine-tune SAM ViT-B on COCO at 2048 pixels with a learned penalty of distance. Weights: sam_vit_b_01ec64.pth."""

_base_ = ["../../../configs/sam/finetune_coco.py"]

image_size = 2048

model = dict(
    freeze_image_encoder=False,
    image_encoder=dict(
        image_size=image_size,
        trained_size=1024,
        scale_attention=True,
        distance_penalty=0.0,
        with_checkpoint=True,
    ),
    prompt_encoder=dict(image_size=image_size),
)
train_dataloader = dict(batch_size=1, dataset=dict(image_size=(image_size, image_size)))
