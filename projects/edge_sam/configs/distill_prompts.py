"""Stage 2 of EdgeSAM, after distill_encoder.py: student and teacher decode the same prompts.

Published: AdamW, learning rate 3.2e-3 for a batch of 512, falling to a tenth, here for the published batch of 4 on each
of 8 GPUs; weight decay 0.05, gradient clip 0.01, 5 epochs, 16 prompts an image, boxes or points by a coin, 2 rounds.
"""

_base_ = ["./distill_encoder.py"]
from omgseg import recipes

__lr, __batch, __processes = 3.2e-3, 4, 8
__scale = __batch * __processes / 512
max_epochs = 5

load_from = f"work_dirs/edge_sam_encoder/epoch_{_base_.max_epochs}.pth"
model = dict(
    _delete_=True,
    type="PromptDistillation",
    teacher=_base_.model.teacher,
    image_encoder=_base_.model.image_encoder,
    prompt_encoder=_base_.model.prompt_encoder,
    mask_decoder=_base_.model.mask_decoder,
)
train_dataloader = dict(
    batch_size=__batch,
    dataset=dict(
        max_masks=16,
        pipeline=recipes.teacher_steps(_base_.teacher.cache, dict(type="LoadSegments")),
    ),
)
optim_wrapper = dict(optimizer=dict(lr=__lr * __scale, weight_decay=0.05), clip_grad=dict(max_norm=0.01))
auto_scale_lr = dict(base_batch_size=__batch * __processes)
param_scheduler = [
    dict(type="CosineAnnealingLR", T_max=max_epochs, eta_min=3.2e-4 * __scale, convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs + 1)
