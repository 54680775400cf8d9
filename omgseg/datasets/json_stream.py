"""Read a JSON object from a file piece by piece, with the entries of its long lists one at a time."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Collection, Iterator
from typing import Any, BinaryIO, NamedTuple

_CHUNK = 1 << 22
"""Bytes that are read at a time; an entry may be longer."""
_ENDING = 16
"""The decoder finds a cut value wrong at most so many characters before the cut: ``-Infinity``, two escapes."""
_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()


class Piece(NamedTuple):
    """A field of the object, or an entry of one of its long lists.

    Attributes:
        field: its name.
        value: the field's value, or the entry. A long list begins with a piece of its own, with an empty list.
        start, end: the entry is ``file[start:end]``, in bytes; None for a field.
    """

    field: str
    value: Any
    start: int | None = None
    end: int | None = None


def read_pieces(file: BinaryIO, long_lists: Collection[str]) -> Iterator[Piece]:
    """The fields of a JSON object in the order of the file, as ``json.loads`` decodes them; nothing for a JSON list.

    The memory is that of a few megabytes, of the largest entry, or of the largest field that is no long list.

    Args:
        file: at its beginning, UTF-8.
        long_lists: the fields whose entries come one by one, where they are lists.

    Raises:
        ValueError: it is not JSON, not in UTF-8, or nested too deep.
    """
    text = _Text(file)
    if text.peek() == "[":
        return
    if text.peek() != "{":
        text.value()  # says what is wrong, unless it is a number or a string
        return
    text.take("{")
    if text.peek() == "}":
        text.take("}")
    else:
        yield from _members(text, long_lists)
    if text.peek():
        raise text.error("Extra data", text.position)


def _members(text: _Text, long_lists: Collection[str]) -> Iterator[Piece]:
    while True:
        if text.peek() != '"':
            raise text.error("Expecting property name enclosed in double quotes", text.position)
        name = text.value()[0]
        text.take(":")
        if name in long_lists and text.peek() == "[":
            yield Piece(name, [])
            yield from (Piece(name, *entry) for entry in _entries(text))
        else:
            yield Piece(name, text.value()[0])
        if text.take(",}") == "}":
            return


def _entries(text: _Text) -> Iterator[tuple[Any, int, int]]:
    text.take("[")
    if text.peek() == "]":
        text.take("]")
        return
    while True:
        yield text.value()
        if text.take(",]") == "]":
            return


class _Text:
    """A window on a file's text, which moves on.

    Attributes:
        position: of what is read next, in characters of the window.
    """

    def __init__(self, file: BinaryIO) -> None:
        head = file.read(4)
        encoding = json.detect_encoding(head)
        if encoding not in ("utf-8", "utf-8-sig"):
            raise ValueError(f"it seems to be {encoding}, not UTF-8")
        self._file = file
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogatepass")
        self._at_end = False
        self._byte = 0  # place in the file of the character `_known`
        self._known = 0
        if head.startswith(codecs.BOM_UTF8):
            head, self._byte = head[len(codecs.BOM_UTF8) :], len(codecs.BOM_UTF8)
        self._text = self._decoder.decode(head)
        self.position = 0

    def peek(self) -> str:
        """The next character that is no space; "" at the end of the file."""
        while True:
            self.position = _SPACE.match(self._text, self.position).end()
            if self.position < len(self._text):
                return self._text[self.position]
            if not self._read_on():
                return ""

    def take(self, characters: str) -> str:
        """Step over the next character, which must be one of these."""
        found = self.peek()
        if not found or found not in characters:
            expected = " or ".join(f"'{character}'" for character in characters)
            raise self.error(f"Expecting {expected}", self.position)
        self.position += 1
        return found

    def value(self) -> tuple[Any, int, int]:
        """Decode the next value: with its first byte, and the one behind its last."""
        self.peek()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self.position)
            except json.JSONDecodeError as error:
                cut = error.pos >= len(self._text) - _ENDING or error.msg.startswith("Unterminated")
                if not (cut and self._read_on()):
                    raise self.error(error.msg, error.pos) from error
            except RecursionError as error:
                raise ValueError("its lists or objects are nested too deep") from error
            else:
                if end < len(self._text) or not self._read_on():  # a number may go on
                    break
        start = self._byte_of(self.position)
        self.position = end
        return value, start, self._byte_of(end)

    def error(self, message: str, position: int) -> ValueError:
        """A mistake at a position of the window."""
        return ValueError(f"{message}: byte {self._byte_of(position)}")

    def _read_on(self) -> bool:
        """Forget what was read, and at least double what was not; False at the end of the file."""
        if self._at_end:
            return False
        self._byte_of(self.position)
        unread = self._text[self.position :]
        data = self._file.read(max(_CHUNK, len(unread)))
        self._at_end = not data
        self._text = unread + self._decoder.decode(data, final=self._at_end)
        self.position = self._known = 0
        return True

    def _byte_of(self, position: int) -> int:
        """Place in the file of a character, which is not before the one of the last call."""
        self._byte += len(self._text[self._known : position].encode("utf-8", "surrogatepass"))
        self._known = position
        return self._byte
