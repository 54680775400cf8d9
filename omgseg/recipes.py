"""What configs share, as functions: pipelines of datasets and loaders of tests.

Configs stay text files of mmengine. One that imports must begin with ``_base_``, as mmengine takes an import in the
first statement for a config of another kind::

    _base_ = []
    from omgseg import recipes

    __root = "{{$OMGSEG_DATA:data}}/VSPW/"
    vspw_train = recipes.train_clips("VSPWDataset", __root, img="data/", ann_file="train.txt")

Modules, functions and names with two underscores stay out of the config. All functions return plain dicts and lists, so
that dumped configs hold nothing else. Sizes are (width, height).
"""

from __future__ import annotations

from typing import Any

Step = dict[str, Any]

LOAD: list[Step] = [dict(type="LoadFrames"), dict(type="LoadSegments")]
PACK: list[Step] = [dict(type="PackClip")]
IMAGE_SIZE, IMAGE_JITTER = (1024, 1024), (0.1, 2.0)
VIDEO_SIZE, VIDEO_JITTER = (1280, 736), (0.8, 2.0)
COCO_TEST_SIZE = (1333, 800)
"""Of the published training and tests."""
# fmt: off
COCO_48_17: dict[str, list[int]] = dict(
    base=[1, 2, 3, 4, 7, 8, 9, 15, 16, 19, 20, 23, 24, 25, 27, 31, 33, 34, 35, 38, 42, 44, 48, 50, 51, 52, 53, 54, 55,
          56, 57, 59, 60, 62, 65, 70, 72, 73, 74, 75, 78, 79, 80, 82, 84, 85, 86, 90],
    novel=[5, 6, 17, 18, 21, 22, 28, 32, 36, 41, 47, 49, 61, 63, 76, 81, 87],
)
# fmt: on
"""COCO's category ids of the usual base and novel things (Bansal et al., "Zero-shot object detection", 2018)."""


def augment(jitter: tuple[float, float]) -> list[Step]:
    """Large-scale jitter by a factor in `jitter`, and a flip."""
    return [dict(type="LargeScaleJitter", ratio_range=jitter), dict(type="RandomFlip")]


def points(max_prompts: int | None, **fields: Any) -> Step:
    """Clicks on objects of an image, see ``SamplePrompts``."""
    return dict(type="SamplePrompts", max_prompts=max_prompts, kind="point", **fields)


def image_steps(*prompts: Step, jitter: tuple[float, float] = IMAGE_JITTER) -> list[Step]:
    """Training on images.

    Args:
        prompts: steps before packing, such as :func:`points`.
        jitter: bounds of the factor of resizing.
    """
    return [*LOAD, *augment(jitter), *prompts, *PACK]


def clip_steps(jitter: tuple[float, float] = VIDEO_JITTER) -> list[Step]:
    """Training on clips of two frames of a video."""
    return [dict(type="SampleFrames", num_frames=2, interval=2), *image_steps(jitter=jitter)]


def pseudo_clip_steps(jitter: tuple[float, float] = VIDEO_JITTER) -> list[Step]:
    """Training on clips of two views of an image."""
    views = dict(type="PseudoClip", num_frames=2, transforms=augment(jitter))
    return [*LOAD, views, *PACK]


def test_steps(*prompts: Step, truth: Step | None = None) -> list[Step]:
    """Testing: images, resized.

    Args:
        prompts: steps before packing, such as :func:`points`.
        truth: reads what the model may see of the truth, such as ``LoadSegments``.
    """
    seen = [] if truth is None else [truth]
    return [dict(type="LoadFrames"), *seen, dict(type="Resize"), *prompts, *PACK]


def teacher_steps(cache: str, truth: Step | None = None, **fields: Any) -> list[Step]:
    """Training with a teacher's embeddings: they are of whole images, so there are no crops and flips.

    Args:
        cache: folder of the embeddings.
        truth: see :func:`test_steps`.
        fields: further arguments of ``LoadTeacherEmbedding``.
    """
    return test_steps(dict(type="LoadTeacherEmbedding", cache=cache, **fields), truth=truth)


def whole_image_steps() -> list[Step]:
    """Training on classified images: whole, as the image is the object's box."""
    return [*LOAD, dict(type="Resize", masks=True), dict(type="RandomFlip"), *PACK]


TEST_CLICKS = test_steps(points(None, deterministic=True), truth=dict(type="LoadSegments"))
"""One click in the middle of each mask."""
TEST_BOXES = test_steps(truth=dict(type="LoadSegments", boxes=True))
"""Masks with the boxes of their annotations."""


def train_images(
    type: str, data_root: str, img: str, jitter: tuple[float, float] = IMAGE_JITTER, **fields: Any
) -> Step:
    """A dataset of training images.

    Args:
        type: name of the dataset's class.
        data_root, img: folder of the dataset, and that of the images in it.
        jitter: bounds of the factor of resizing.
        fields: further arguments of the dataset; ``seg`` is the folder of the masks.
    """
    return _dataset(type, data_root, img, fields, image_size=IMAGE_SIZE, pipeline=image_steps(jitter=jitter))


def train_clips(type: str, data_root: str, img: str, **fields: Any) -> Step:
    """As :func:`train_images`, for clips of videos."""
    return _dataset(type, data_root, img, fields, image_size=VIDEO_SIZE, pipeline=clip_steps())


def test_loader(
    type: str, data_root: str, img: str, image_size: tuple[int, int] = VIDEO_SIZE, **fields: Any
) -> Step:
    """A data loader of test images, or of whole videos.

    Args:
        image_size: into which images are resized.
        type, data_root, img, fields: see :func:`train_images`.
    """
    dataset = _dataset(
        type, data_root, img, fields, image_size=image_size, test_mode=True, pipeline=test_steps()
    )
    sampler = dict(type="DefaultSampler", shuffle=False)
    return dict(batch_size=1, num_workers=2, sampler=sampler, dataset=dataset)


def coco_panoptic_files(split: str) -> dict[str, str]:
    """The files of a split of COCO, such as ``"val2017"``, for :func:`train_images` and :func:`test_loader`."""
    masks = f"annotations/panoptic_{split}"
    return dict(img=f"{split}/", seg=f"{masks}/", ann_file=f"{masks}.json")


def coco_panoptic_metrics(
    folder: str, panoptic: str, instances: str | None = None, **fields: Any
) -> list[Step]:
    """PQ, and AP where there is a file of instances.

    Args:
        folder: of the annotations.
        panoptic: name of the JSON file, and of the folder of PNGs beside it.
        instances: name of the JSON file.
        fields: further arguments of the panoptic metric.
    """
    ann_file, seg_prefix = f"{folder}{panoptic}.json", f"{folder}{panoptic}/"
    metrics = [dict(type="CocoPanopticMetric", ann_file=ann_file, seg_prefix=seg_prefix, **fields)]
    if instances is not None:
        metrics.append(dict(type="CocoInstanceMetric", ann_file=f"{folder}{instances}.json"))
    return metrics


def _dataset(type: str, data_root: str, img: str, fields: Step, **defaults: Any) -> Step:
    fields = dict(fields)
    seg = fields.pop("seg", None)
    prefix = dict(img=img) if seg is None else dict(img=img, seg=seg)
    return {**defaults, "type": type, "data_root": data_root, "data_prefix": prefix, **fields}
