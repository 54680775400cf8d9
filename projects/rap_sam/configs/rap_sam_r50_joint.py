"""RAP-SAM's joint training: COCO as clips, YouTube-VIS 2019, COCO prompts; from ImageNet's weights.

tools/dist_train.sh projects/rap_sam/configs/rap_sam_r50_joint.py 8 --auto-scale-lr

One clip a GPU, as published, and the learning rate for 16 of them. Predict and test with the config rap_sam_r50.py.
"""

_base_ = [
    "./rap_sam_r50.py",
    "../../../configs/_base_/datasets/joint_coco_vipseg_ytvis.py",
    "../../../configs/_base_/schedules/joint_12e.py",
]
from omgseg import recipes

# The weights of torchvision that the published training starts from, as safetensors
model = dict(
    image_encoder=dict(pretrained="hf://timm/resnet50.tv_in1k/model.safetensors", norm_eval=True),
)
sync_bn = "torch"  # of the neck: each GPU holds one clip

train_dataloader = dict(
    num_workers=2,
    dataset=dict(
        datasets=dict(
            coco_panoptic=None,
            coco_prompts=dict(
                image_size=recipes.VIDEO_SIZE,
                pipeline=recipes.image_steps(recipes.points(30, repeat=True)),
            ),
            vipseg=None,
        ),
        repeat=dict(_delete_=True, youtube_vis_2019=25),
    ),
)
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(image_encoder=dict(lr_mult=0.1))))
