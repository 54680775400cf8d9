"""What a check found: problems by source and kind, as text and as JSON."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from omgseg.datasets.problems import Problem, ProblemKind


@dataclass
class SourceReport:
    """The problems of one dataset.

    Attributes:
        file: its annotation or split file.
        names: of the datasets in the configs that read these files.
        samples: images or videos that it lists; 0 where the list cannot be read.
        checked: how many of them were read.
        problems: how often each problem was met, by kind.
        note: a remark that is not a problem.
    """

    file: str
    names: list[str] = field(default_factory=list)
    samples: int = 0
    checked: int = 0
    problems: dict[ProblemKind, dict[str, int]] = field(default_factory=lambda: defaultdict(dict))
    note: str = ""

    def add_name(self, name: str) -> None:
        if name not in self.names:
            self.names.append(name)

    def add(self, problems: Iterable[Problem]) -> None:
        """Count problems; the same text again (a category of many annotations, a folder of many files) is one."""
        for kind, text in problems:
            times = self.problems[kind]
            times[text] = times.get(text, 0) + 1

    @property
    def num_problems(self) -> int:
        return sum(len(texts) for texts in self.problems.values())

    def lines(self, show: int) -> list[str]:
        """For the screen, with the first `show` problems of each kind."""
        scope = f"{self.checked} of {_count(self.samples, 'sample')} read"
        lines = [f"{', '.join(self.names)} ({self.file}): {scope}, {_count(self.num_problems, 'problem')}"]
        if self.note:
            lines.append(f"  {self.note}")
        for kind in ProblemKind:
            texts = self.problems.get(kind, {})
            if not texts:
                continue
            lines.append(f"  {kind.value}: {len(texts)}")
            lines += [
                f"    {text}" + (f" ({times} times)" if times > 1 else "")
                for text, times in list(texts.items())[:show]
            ]
            if len(texts) > show:
                lines.append(f"    ... and {len(texts) - show} more")
        return lines

    def to_dict(self) -> dict[str, Any]:
        return {
            "file": self.file,
            "names": self.names,
            "samples": self.samples,
            "checked": self.checked,
            "note": self.note,
            "problems": {
                kind.value: {"count": len(texts), "entries": texts} for kind, texts in self.problems.items()
            },
        }


@dataclass
class Report:
    """The problems of all datasets of some configs."""

    sources: list[SourceReport] = field(default_factory=list)

    @property
    def num_problems(self) -> int:
        return sum(source.num_problems for source in self.sources)

    def lines(self, show: int) -> list[str]:
        """For the screen, see :meth:`SourceReport.lines`."""
        lines = [line for source in self.sources for line in source.lines(show)]
        wrong = sum(source.num_problems > 0 for source in self.sources)
        total = f"{_count(self.num_problems, 'problem')} in {wrong} of {_count(len(self.sources), 'dataset')}"
        return [*lines, total]

    def to_dict(self) -> dict[str, Any]:
        """All problems, ready for JSON."""
        return {"num_problems": self.num_problems, "sources": [source.to_dict() for source in self.sources]}


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + "s" * (number != 1)
