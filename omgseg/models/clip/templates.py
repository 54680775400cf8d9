"""Sentences around a category's words: CLIP was trained on captions, not on bare words."""

from __future__ import annotations

from collections.abc import Sequence

_SIZES = ("small", "medium", "large")

TEMPLATES: dict[str, tuple[str, ...]] = {
    "plain": ("{}",),
    "photo": ("a photo of a {}.",),
    # The 14 sentences of ViLD (Gu et al., "Open-vocabulary object detection via vision and language knowledge
    # distillation", 2022), which the published OMG-Seg weights were trained with: five general ones, three
    # sizes.
    "vild": (
        "a photo of a {}.",
        "This is a photo of a {}",
        "There is a {} in the scene",
        "There is the {} in the scene",
        "a photo of a {} in the scene",
        *(f"a photo of a {size} {{}}." for size in _SIZES),
        *(f"This is a photo of a {size} {{}}." for size in _SIZES),
        *(f"There is a {size} {{}} in the scene." for size in _SIZES),
    ),
}
"""Template sets by name; ``{}`` stands for the word."""


def resolve_templates(templates: str | Sequence[str]) -> tuple[str, ...]:
    """The sentences of a named set, or a checked list of one's own.

    Raises:
        ValueError: unknown name, empty list, or a sentence without exactly one ``{}``.
    """
    if isinstance(templates, str):
        if templates not in TEMPLATES:
            raise ValueError(
                f"unknown templates {templates!r}: choose from {sorted(TEMPLATES)} or give a list"
            )
        return TEMPLATES[templates]
    templates = tuple(templates)
    wrong = [sentence for sentence in templates if sentence.count("{}") != 1]
    if wrong or not templates:
        raise ValueError(
            f"every template needs exactly one '{{}}' for the word; got {wrong or 'an empty list'}"
        )
    return templates
