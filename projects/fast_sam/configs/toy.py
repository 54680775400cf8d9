"""A small FastSAM, trained from nothing on all segments of the toy world's images.

python tools/train.py projects/fast_sam/configs/toy.py --work-dir work_dirs/toy_fast_sam
"""

_base_ = ["../../yolact/configs/toy.py"]

custom_imports = dict(imports=["omgseg.projects.fast_sam"])

model = dict(
    type="FastSam",
    num_classes=1,
    scales=[[20, 32], [32, 44], [44, 64], [64, 90], [100, 128]],
    test_cfg=dict(score_thr=0.4, nms="torchvision", iou_thr=0.9, top_k=30000, max_per_image=300),
)
train_dataloader = dict(dataset=dict(type="CocoPromptDataset"))
val_dataloader = val_evaluator = val_cfg = None
test_dataloader = test_evaluator = test_cfg = None
