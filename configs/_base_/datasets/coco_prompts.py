"""COCO panoptic images as class-agnostic masks to prompt for. See data/README.md#coco."""

_base_ = []
from omgseg import recipes

__root = "{{$OMGSEG_DATA:data}}/coco/"

coco_prompts_train = recipes.train_images(
    "CocoPromptDataset",
    __root,
    pipeline=recipes.image_steps(recipes.points(20)),
    **recipes.coco_panoptic_files("train2017"),
)
# One click in the middle of each mask.
coco_prompts_test_dataloader = recipes.test_loader(
    "CocoPromptDataset",
    __root,
    image_size=recipes.COCO_TEST_SIZE,
    pipeline=recipes.TEST_CLICKS,
    **recipes.coco_panoptic_files("val2017"),
)
coco_prompts_evaluator = dict(type="InteractiveMetric")
