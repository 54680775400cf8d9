"""List the licences of all packages of requirements/lock.in, as their authors state them in the installed packages.

    python tools/licences.py --out docs/licences.md

A package that is not installed in the locked version has no licence to read: install the lock first.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, files, metadata
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from packaging.requirements import Requirement

from omgseg.tables import markdown_table

LOCK = Path(__file__).parents[1] / "requirements/lock.in"
LONGEST = 60
"""Characters of a name of a licence; some packages have the whole text in its place."""
NONE_STATED = {"cuda-toolkit": "none stated: it only asks for other packages"}
NO_NAMES = ("UNKNOWN", "COPYRIGHT")
"""First words that are no licence."""
PAGE = """\
# Licences of dependencies

omgseg itself is under the Apache License 2.0. These are the packages of the tested environment, with the licences
that they state themselves; `tools/licences.py` wrote this page. It is no legal advice. Weights have licences of their
own: `omgseg models`.

{table}
"""


def locked() -> Iterator[tuple[str, str]]:
    """Name and version of every package of the lock."""
    for line in LOCK.read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            pin = Requirement(line)
            yield pin.name, next(iter(pin.specifier)).version


def licence_of(name: str, version: str) -> str:
    """What a package states: an SPDX expression, else the classifiers, else a name, else the title of its text.

    Raises:
        LookupError: it is not installed in this version, or states none.
    """
    try:
        fields = metadata(name)
    except PackageNotFoundError:
        raise LookupError(f"{name} is not installed") from None
    if fields["Version"] != version:
        raise LookupError(f"{name} {fields['Version']} is installed, the lock has {version}")
    if expression := fields.get("License-Expression"):
        return expression
    prefix = "License :: "
    classifiers = [text for text in fields.get_all("Classifier", []) if text.startswith(prefix)]
    named = [text.split(" :: ")[-1] for text in classifiers if text != f"{prefix}OSI Approved"]
    if named:
        return ", ".join(named)
    lines = (fields.get("License") or "").strip().splitlines()
    if lines and lines[0].split(maxsplit=1)[0].upper() not in NO_NAMES and len(lines[0]) <= LONGEST:
        return lines[0].strip()
    for file in files(name) or ():
        if file.name.upper().startswith("LICEN"):
            titles = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
            return next((title for title in titles if "license" in title.lower()), f"see its {file.name}")
    if name in NONE_STATED:
        return NONE_STATED[name]
    raise LookupError(f"{name} {version} states no licence")


def page() -> str:
    """The page.

    Raises:
        LookupError: licences are missing; names all packages.
    """
    rows, missing = [], []
    for name, version in sorted(locked(), key=lambda pin: re.sub("[-_.]+", "-", pin[0].lower())):
        try:
            rows.append((name, version, licence_of(name, version)))
        except LookupError as error:
            missing.append(str(error.args[0]))
    if missing:
        raise LookupError("; ".join(missing))
    return PAGE.format(table=markdown_table(("package", "version", "licence"), rows))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--out", type=Path, metavar="MD", help="write the page to this file; default: print it"
    )
    args = parser.parse_args()
    try:
        text = page()
    except LookupError as error:
        sys.exit(f"error: {error.args[0]}")
    if args.out is None:
        print(text, end="")
    else:
        args.out.write_text(text)


if __name__ == "__main__":
    main()
