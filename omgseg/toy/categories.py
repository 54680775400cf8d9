"""What exists in the toy world: things are a colour and a pattern, stuff is a muted texture.

A thing's category does not depend on its shape. Every colour and every pattern of a novel category also occurs in
base categories, so a model can recognise it only by understanding the words' parts.
"""

from __future__ import annotations

from dataclasses import replace

from omgseg.structures import Category, Vocabulary

COLORS: dict[str, tuple[int, int, int]] = {
    "red": (222, 42, 38),
    "green": (36, 190, 60),
    "blue": (44, 72, 230),
    "yellow": (236, 204, 20),
    "purple": (178, 48, 214),
    "cyan": (24, 190, 204),
}
PATTERNS: tuple[str, ...] = ("plain", "striped", "dotted", "checked", "ringed")
STUFF: dict[str, tuple[int, int, int]] = {
    "grass": (112, 132, 88),
    "sand": (194, 174, 136),
    "water": (104, 130, 154),
    "brick": (150, 106, 92),
    "gravel": (134, 134, 138),
}
NOVEL_THINGS: tuple[str, ...] = (
    "red striped",
    "green dotted",
    "blue checked",
    "yellow ringed",
    "purple plain",
    "cyan striped",
)

THINGS: tuple[str, ...] = tuple(f"{color} {pattern}" for color in COLORS for pattern in PATTERNS)
BASE_THINGS: tuple[str, ...] = tuple(name for name in THINGS if name not in NOVEL_THINGS)
NUM_THINGS = len(THINGS)
NAMES: tuple[str, ...] = (*THINGS, *STUFF)
"""All names, things first. Inside the toy world a class is an index into this tuple."""

COCO_IDS: tuple[int, ...] = tuple(range(1, len(NAMES) + 1))
"""Category ids in COCO and YouTube-VIS files; base files have gaps, as the official ones do."""

VIPSEG_IDS: dict[int, int] = {
    index: number
    for number, index in enumerate(
        [*range(NUM_THINGS, len(NAMES)), *(THINGS.index(name) for name in BASE_THINGS)]
    )
}
"""World class -> category id in VIPSeg files. Stuff comes first, as id 0 cannot have instances in VIPSeg's masks."""


def class_color(index: int) -> tuple[int, int, int]:
    """RGB in which annotations of a class are drawn: patterns of one colour get different shades."""
    if index >= NUM_THINGS:
        return tuple(STUFF.values())[index - NUM_THINGS]
    color, pattern = divmod(index, len(PATTERNS))
    shade = 1 - 0.15 * pattern
    return tuple(int(channel * shade) for channel in tuple(COLORS.values())[color])


def is_base(index: int) -> bool:
    """Stuff and base things: the classes that training data hold."""
    return NAMES[index] not in NOVEL_THINGS


def vocabulary(include_novel: bool = True) -> Vocabulary:
    """The toy world's vocabulary with COCO ids: 30 (or the 24 base) things and 5 stuff categories."""
    return Vocabulary(
        Category(name=name, is_thing=index < NUM_THINGS, id=COCO_IDS[index], color=class_color(index))
        for index, name in enumerate(NAMES)
        if include_novel or is_base(index)
    )


def vipseg_vocabulary() -> Vocabulary:
    """The categories of VIPSeg files with their ids: the base things and stuff."""
    return Vocabulary(
        Category(name=NAMES[index], is_thing=index < NUM_THINGS, id=number, color=class_color(index))
        for index, number in VIPSEG_IDS.items()
    )


def permuted_vocabulary() -> Vocabulary:
    """The whole vocabulary with the words of the novel things exchanged in a ring, ids staying where they are.

    A model that understands the words must score next to nothing on novel things with it: the control of the
    open-vocabulary evaluation.
    """
    other = dict(zip(NOVEL_THINGS, NOVEL_THINGS[1:] + NOVEL_THINGS[:1], strict=True))
    return Vocabulary(
        replace(category, name=other.get(category.name, category.name)) for category in vocabulary()
    )
