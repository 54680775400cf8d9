"""Every command of the documentation runs, as docs/contributing.md says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from doc_pages import CODE, KINDS, PAGES, ROOT, blocks_of, program

READ_CONFIG = """
from mmengine.config import Config
from omgseg.engine.config import check_arguments
check_arguments(Config.fromfile({!r}))
"""


@pytest.mark.parametrize("page", PAGES)
def test_every_block_says_what_is_done_with_it(page):
    for block in blocks_of(page):
        assert block.kind in KINDS or (not block.kind and block.language not in CODE), (
            f"{block}: a {block.language} block needs a marker in the line above, e.g. <!-- run -->; "
            "see docs/contributing.md"
        )
        assert not (block.language in CODE and block.indented), f"{block}: code must not be indented"
        assert block.kind == "run" or not block.kind or block.what, f"{block}: {block.kind} needs a reason"
        for named in re.findall(r"tests/[\w/.]+", block.what):
            assert (ROOT / named).exists(), f"{block}: {named} is named, and not there"
        if block.language == "python":
            compile(block.code, str(block), "exec")
        if block.kind == "file":
            text = "\n".join((ROOT / page).read_text().splitlines()[: block.line - 2])
            assert block.what in text.rsplit("<!--", 1)[0] or block.what in block.code, (
                f"{block}: readers do not see the comment; name the file {block.what} in the text before it"
            )
        if block.kind == "tested":
            test = (ROOT / block.what).read_text()
            assert Path(page).name in test, f"{block}: {block.what} does not mention {page}"


@pytest.mark.parametrize(
    "page", [page for page in PAGES if any(b.kind not in ("", "tested") for b in blocks_of(page))]
)
def test_commands_of(page, reader, run_in):
    def check(language, text):
        done = run_in(reader, language, text)
        assert done.returncode == 0, f"{page}, {language}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"

    blocks = blocks_of(page)
    files = {block.what: block.code for block in blocks if block.kind == "file"}
    for name, text in files.items():
        (reader / name).parent.mkdir(parents=True, exist_ok=True)
        (reader / name).write_text(text)
    for name in files:
        if "configs/" in name:
            check("python", READ_CONFIG.format(name))
    for language in CODE:
        if text := program(blocks, language):
            check(language, text)
