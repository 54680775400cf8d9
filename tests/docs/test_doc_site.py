"""The documentation's pages build without a warning, and a reader's browser fetches nothing from elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from doc_pages import ROOT

README_LINES = 160
"""Three screens; a few lines of them are comments that readers do not see."""
FETCHED = re.compile(
    r"""<(?:script|img|iframe|source|video)\b[^>]*\bsrc=["']?(https?:)?//"""
    r"""|<link\b(?=[^>]*rel=["']?(?:stylesheet|preconnect|preload|icon))[^>]*href=["']?(https?:)?//"""
    r"""|@import\s+url\(["']?https?:|url\(["']?(https?:)?//"""
)
"""What a browser would load by itself from another host; links that a reader may click are none of it."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("mkdocs")
    folder = tmp_path_factory.mktemp("site")
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-4000:]
    return folder


def test_the_pages_are_there(site):
    pages = [page.relative_to(ROOT / "docs") for page in (ROOT / "docs").rglob("*.md")]
    assert not [page for page in pages if not (site / page).with_suffix(".html").is_file()]
    assert "images/demo.jpg" in (site / "index.html").read_text() and (site / "images/demo.jpg").is_file()
    assert "vocabulary=None" in (site / "datasets.html").read_text(), "data/README.md is a page"


def test_the_reference_comes_from_docstrings(site):
    text = (site / "reference/inference.html").read_text()
    assert "OMGSegInferencer" in text and "Segments images and videos" in text
    assert not re.search(r":(class|func|meth|mod|data|attr):", text), "roles are shown as code"


def test_nothing_is_fetched_from_elsewhere(site):
    for page in (*site.rglob("*.html"), *site.rglob("*.css")):
        found = FETCHED.search(page.read_text())
        assert not found, f"{page.relative_to(site)}: {found[0]}"


def test_the_readme_stays_short_and_its_links_lead_somewhere():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= README_LINES
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (ROOT / target).exists(), target
