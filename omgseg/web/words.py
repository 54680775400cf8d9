"""From what a visitor typed to a vocabulary."""

from __future__ import annotations

import re

from omgseg.structures import Category, Vocabulary
from omgseg.web.limits import Refused

LONGEST_WORD = 80
_KINDS = {"things": True, "thing": True, "stuff": False}
_HEADING = re.compile(r"\s*(things?|stuff)\s*:", re.IGNORECASE)


def parse_words(text: str | None, most: int) -> Vocabulary | None:
    """Read ``things: dog, red car; stuff: sky``, or one word a line.

    Words are separated by commas, semicolons or new lines. They are things; after ``stuff:`` they are stuff, until
    ``things:``. A word that occurs twice counts once.

    Args:
        text: what was typed.
        most: number of words allowed.

    Returns:
        None where there are no words.

    Raises:
        Refused: too many words, or a word that is too long.
    """
    found: dict[tuple[str, bool], Category] = {}
    is_thing = True
    for part in re.split(r"[,;\n]", text or ""):
        while heading := _HEADING.match(part):
            is_thing = _KINDS[heading.group(1).lower()]
            part = part[heading.end() :]
        word = " ".join(part.split())
        if not word:
            continue
        if len(word) > LONGEST_WORD:
            raise Refused(f'"{word[:30]}..." is too long for a word; separate words by commas')
        if not word.strip("_/"):
            raise Refused(f'"{word}" is no word')
        found.setdefault((word.casefold(), is_thing), Category(word, is_thing))
        if len(found) > most:
            raise Refused(f"more than {most} words; this page takes no more at a time")
    return Vocabulary(found.values()) if found else None
