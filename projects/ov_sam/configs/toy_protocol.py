"""The paper's protocol on the toy world: masks and names for boxes and centres, base and novel words.

The images of its open-vocabulary validation show things of all 30 categories. A colour and a pattern make a word; the 6
novel pairs are in no training image.
"""

_base_ = ["../../../configs/_base_/benchmark.py", "../../../configs/_base_/datasets/coco_instance.py"]
from omgseg import recipes
from omgseg.toy.categories import NOVEL_THINGS, vocabulary

test_dataloader = _base_.coco_instance_test_dataloader
test_dataloader.update(num_workers=0)
test_dataloader.dataset.update(
    data_root="{{$OMGSEG_TOY:work_dirs/demo}}/data/coco_open_vocabulary/",
    vocabulary=None,
    image_size=(256, 256),
    pipeline=recipes.TEST_BOXES,
)
groups = {
    kind: [thing.id for thing in vocabulary().things() if (thing.name in NOVEL_THINGS) == (kind == "novel")]
    for kind in ("base", "novel")
}
test_evaluator = [dict(type="NamingMetric", groups=groups)]
test_cfg = dict(type="NamedPromptLoop", frame=256)

benchmark = {
    f"naming/{value}_{prompt}_{group}": None
    for prompt in ("box", "centre")
    for value in ("mIoU", "Acc")
    for group in ("base", "novel")
}
