"""Errors about unknown names offer those that are near."""

import pytest

from omgseg.messages import did_you_mean


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("panoptik", ["panoptic", "semantic"], "; did you mean 'panoptic'?"),
        ("COCO", ["coco-panoptic", "Coco", "ade20k"], "; did you mean 'Coco'?"),
        ("max_itres", ["max_iters", "max_iter", "type"], "; did you mean 'max_iters' or 'max_iter'?"),
        ("zebra", ["panoptic"], ""),
        (3, ["panoptic"], ""),
        ("x", [], ""),
    ],
)
def test_near_names_are_offered_as_they_are_spelled(name, known, hint):
    assert did_you_mean(name, known) == hint
