"""The code blocks of the documentation's pages, and what their markers say is to be done with them.

docs/contributing.md states the convention.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (
        ROOT / "README.md",
        ROOT / "data" / "README.md",
        ROOT / "projects" / "README.md",
        *(ROOT / "docs").rglob("*.md"),
    )
)
CODE = ("bash", "python")
"""Languages whose blocks need a marker."""
KINDS = ("run", "parse", "file", "tested")

_FENCE = re.compile(r"^(?P<indent>\s*)```(?P<language>\w*)\s*$")
_MARKER = re.compile(r"^<!-- (?P<kind>[a-z]+)(: (?P<what>.+))? -->$")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page, line: where its first line of code is, counted from 1.
        kind: of its marker, ``KINDS``; empty without one.
        what: what the marker says behind its colon.
    """

    page: str
    line: int
    language: str
    code: str
    kind: str
    what: str
    indented: bool

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_of(page: str) -> list[Block]:
    """All fenced blocks of a page, in order."""
    lines = (ROOT / page).read_text().splitlines()
    blocks, start = [], None
    for number, line in enumerate(lines):
        fence = _FENCE.match(line)
        if not fence:
            continue
        if start is None:
            start = number
            continue
        opening = _FENCE.match(lines[start])
        marker = _MARKER.match(lines[start - 1]) if start else None
        blocks.append(
            Block(
                page=page,
                line=start + 2,
                language=opening["language"],
                code="\n".join(lines[start + 1 : number]) + "\n",
                kind=marker["kind"] if marker else "",
                what=(marker["what"] or "") if marker else "",
                indented=bool(opening["indent"]),
            )
        )
        start = None
    if start is not None:
        raise ValueError(f"{page}:{start + 1}: the block has no end")
    return blocks


def program(blocks: list[Block], language: str) -> str:
    """The blocks of a language that are run, or parsed, as one program whose line numbers are the page's.

    Shell blocks that are only parsed say so to what they start (:mod:`doc_server`), in ``$OMGSEG_DOCS``.
    """
    lines: list[str] = []
    for block in blocks:
        if block.language != language or block.kind not in ("run", "parse"):
            continue
        lines += [""] * (block.line - 1 - len(lines))
        if language == "bash":
            lines[-1] = f"export OMGSEG_DOCS={block.kind}"
        lines += block.code.splitlines() if language == "bash" or block.kind == "run" else []
    return "\n".join(lines) + "\n" if lines else ""
