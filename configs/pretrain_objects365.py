"""Pre-training of the decoders on the instances of Objects365; start the joint training with ``load_from`` its weights.

tools/dist_train.sh configs/pretrain_objects365.py 8
tools/dist_train.sh configs/omg_coco_vipseg_ytvis.py 8 --cfg-options load_from=work_dirs/pretrain_objects365/epoch_1.pth
"""

_base_ = [
    "./_base_/models/omg_convnext_l.py",
    "./_base_/datasets/objects365_v2.py",
    "./_base_/datasets/coco_panoptic.py",
    "./_base_/schedules/joint_12e.py",
    "./_base_/runtime.py",
]

train_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=True),
    batch_sampler=dict(type="SourceBatchSampler"),
    dataset=dict(type="JointDataset", datasets=dict(objects365={{_base_.objects365_v2_train}})),
)
# 1.7 million images are an epoch: more than twelve of the joint mix
train_cfg = dict(max_epochs=1)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(type="CosineAnnealingLR", by_epoch=True, begin=0, end=1, convert_to_iter_based=True),
]

val_dataloader = {{_base_.coco_panoptic_test_dataloader}}
val_evaluator = [_base_.coco_panoptic_evaluator[1]]
test_dataloader = {{_base_.coco_panoptic_test_dataloader}}
test_evaluator = [_base_.coco_panoptic_evaluator[1]]
