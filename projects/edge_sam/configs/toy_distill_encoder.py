"""Stage 1 of a small EdgeSAM on the toy world's images: its encoder learns the embeddings of configs/toy/sam.py."""

_base_ = ["./toy_supervised.py"]
from omgseg import recipes

__weights = f"work_dirs/sam/iter_{_base_.max_iters}.pth"

teacher = dict(config="configs/toy/sam.py", weights=__weights, cache="work_dirs/teacher_embeddings/toy_sam")
model = dict(type="EncoderDistillation", teacher=__weights)
train_dataloader = dict(
    dataset=dict(
        pipeline=recipes.teacher_steps(teacher["cache"]),
    ),
)
