"""Stage 2 of a small EdgeSAM on the toy world's images, after toy_distill_encoder.py: prompts in the loop."""

_base_ = ["./toy_distill_encoder.py"]
from omgseg import recipes

load_from = f"work_dirs/toy_edge_sam_encoder/iter_{_base_.student_iters}.pth"
model = dict(type="PromptDistillation", train_cfg=dict(_delete_=True, max_objects=4))
train_dataloader = dict(
    dataset=dict(
        pipeline=recipes.teacher_steps(_base_.teacher.cache, dict(type="LoadSegments")),
    ),
)
# With the learning rate of stage 1 it forgot: 200 iterations, one seed, on training images that were held out.
optim_wrapper = dict(optimizer=dict(lr=2e-4), clip_grad=dict(max_norm=0.01))
