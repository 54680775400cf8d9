"""EfficientSAM-Ti on SA-1B after sami_ti.py, by SAM's recipe: a click or a noisy box, then corrections.

Published: SA-1B, and its training as SAM's; iterations and batch are chosen for one node. Prompt encoder, neck and mask
decoder start at random.
"""

_base_ = ["./finetune_coco.py"]
from omgseg import recipes

load_from = "work_dirs/sami_ti/epoch_100.pth"
load_strict = False  # the neck and what comes after it are not pre-trained
model = dict(freeze_image_encoder=False)
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        **recipes.train_images("SA1BDataset", "{{$OMGSEG_DATA:data}}/sa1b/", img="", max_masks=64),
    ),
)
optim_wrapper = dict(optimizer=dict(lr=1e-4))
