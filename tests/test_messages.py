"""Errors about unknown names offer those that are near, and show values that are long in part."""

import pytest

from omgseg.messages import did_you_mean, shown


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


def test_values_of_files_are_cut_where_they_are_long():
    assert [shown(value) for value in ([1, 2, 256], "car", None, 2**40)] == [
        "[1, 2, 256]",
        "'car'",
        "None",
        str(2**40),
    ]
    assert all(len(shown(value)) < 120 for value in ("x" * 10**6, [0] * 10**6, 10**4000, {"a": "b" * 10**5}))
