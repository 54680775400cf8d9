import pytest

pytest.importorskip("gradio", reason="Gradio is not installed (omgseg[web])")

from omgseg.structures import Vocabulary
from omgseg.web.parts import parse_words
from omgseg.web.uploads import Refused


def kinds(vocabulary: Vocabulary) -> tuple[list[str], list[str]]:
    things = [each.name for each in vocabulary if each.is_thing]
    return things, [each.name for each in vocabulary if not each.is_thing]


@pytest.mark.parametrize(
    ("text", "things", "stuff"),
    [
        ("dog, red  car", ["dog", "red car"], []),
        ("dog\ncat\n\n", ["dog", "cat"], []),
        ("things: dog, cat; stuff: sky", ["dog", "cat"], ["sky"]),
        ("Stuff:\nsky\ngrass\nTHINGS:\ndog", ["dog"], ["sky", "grass"]),
        ("dog; Dog, stuff: dog", ["dog"], ["dog"]),
        ("stuffed animal", ["stuffed animal"], []),
    ],
)
def test_words(text, things, stuff):
    assert kinds(parse_words(text, 10)) == (things, stuff)


@pytest.mark.parametrize("text", ["", None, " \n, ;", "things:; stuff:"])
def test_no_words(text):
    assert parse_words(text, 10) is None


@pytest.mark.parametrize("text", ["a, b, c", "x" * 81, "dog, _/_"])
def test_refused_words(text):
    with pytest.raises(Refused):
        parse_words(text, 2)
