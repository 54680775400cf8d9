"""SA-1B: class-agnostic masks to prompt for, training only. See data/README.md#sa-1b."""

_base_ = []
from omgseg import recipes

sa1b_train = recipes.train_images(
    "SA1BDataset",
    "{{$OMGSEG_DATA:data}}/sa1b/",
    img="",
    max_masks=60,  # three for each of the 20 prompts: the crop leaves some outside
    pipeline=recipes.image_steps(recipes.points(20)),
)
