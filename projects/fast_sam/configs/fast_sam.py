"""FastSAM with a YOLACT (ResNet-101, 1024 pixels) in the place of YOLOv8x-seg, on SA-1B.

Published: 2 % of SA-1B (put 20 of its shards there), 1024 pixels. The schedule is YOLACT's. There are no weights of it.
"""

_base_ = ["../../yolact/configs/yolact_r101_coco.py"]
from omgseg import recipes

custom_imports = dict(imports=["omgseg.projects.fast_sam"])

image_size = 1024

model = dict(
    type="FastSam",
    num_classes=1,
    image_size=image_size,
    scales=[[48], [96], [192], [384], [768]],
    square_anchors=False,
    vocabulary=None,
    test_cfg=dict(score_thr=0.4, nms="torchvision", iou_thr=0.9, top_k=30000, max_per_image=300),
)
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type="SA1BDataset",
        data_root="{{$OMGSEG_DATA:data}}/sa1b/",
        data_prefix=dict(img=""),
        image_size=(image_size, image_size),
        pipeline=[
            *recipes.LOAD,
            dict(type="Resize", scale=(image_size, image_size), keep_ratio=False, masks=True),
            *recipes.augment((0.5, 2.0)),
            *recipes.PACK,
        ],
    ),
)
val_dataloader = val_evaluator = val_cfg = None
test_dataloader = test_evaluator = test_cfg = (
    None  # prompts: projects/edge_sam/configs/toy_protocol.py and its like
)
