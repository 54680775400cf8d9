"""Label spaces as text files: one thing a line, in whatever encoding editors and spreadsheets write."""

import json

import pytest

from omgseg.structures import Vocabulary


@pytest.fixture
def write(tmp_path):
    def write_file(content: bytes, name: str = "words.txt"):
        file = tmp_path / name
        file.write_bytes(content)
        return file

    return write_file


def test_a_line_is_a_thing_with_its_synonyms(write):
    words = Vocabulary.load(write(b"teddy bear, bear ,toy\n\n  red   kite \r\nDog\n"))
    assert words.names == ["teddy bear", "red kite", "Dog"]
    assert words[0].words == ("teddy bear", "bear", "toy")
    assert all(category.is_thing for category in words)


def test_long_lists_with_repetitions_and_empty_lines_are_read(write):
    lines = [f"thing {number}" for number in range(20_000)]
    lines += (
        ["", "   "] * 1000
        + [f"THING {number}" for number in range(2_500)]
        + ["thing_0, first thing", ","] * 250
    )
    words = Vocabulary.load(write("\n".join(lines).encode()))
    assert len(words) == 20_000 and words.names[:2] == ["thing 0", "thing 1"]
    assert words[0].words == ("thing 0", "first thing")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "latin-1"])
@pytest.mark.parametrize("form", ["words.txt", "words.json"])
def test_every_usual_encoding_is_read(write, encoding, form):
    names = ["Bär", "jalapeño", "dog"]
    text = "\r\n".join(names)
    if form.endswith("json"):
        text = json.dumps({"categories": [{"name": name} for name in names]}, ensure_ascii=False)
    assert Vocabulary.load(write(text.encode(encoding), form)).names == names


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("dog\ncat".encode("utf-16-le"), "words.txt is no list of words.*control characters.*UTF-8"),
        (b"\xff\xfed", "words.txt is no list of words.*begins as UTF-16"),
        (b"dog\n_ , cat\n", "words.txt, line 2: '_' is no word"),
        (b"\n \n", "words.txt has no words"),
        (b"", "words.txt has no words"),
    ],
)
def test_what_is_no_list_of_words_is_named(write, content, message):
    with pytest.raises(ValueError, match=message):
        Vocabulary.load(write(content))
