"""The model of docs/extend/model.md on the page in a browser; its commands are run with those of all pages."""

from __future__ import annotations

import shutil

import pytest
from doc_pages import blocks_of

PAGE = "docs/extend/model.md"
VISIT = """
import os, shutil, signal, threading

from playwright.sync_api import sync_playwright

import omgseg
from omgseg.web import serve


def visit(address):
    try:
        with sync_playwright() as running:
            browser = running.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-dev-shm-usage"]
            )
            page = browser.new_page()
            page.set_default_timeout(60_000)
            page.goto(address)
            page.set_input_files("#image-in input[type=file]", "street.jpg")
            page.locator("#image-in img").wait_for()
            page.click("#image-start")
            page.locator("#image-out img").first.wait_for()
            print(page.get_by_role("tab").all_inner_texts(), flush=True)
            browser.close()
    finally:
        os.kill(os.getpid(), signal.SIGTERM)


model = omgseg.load("projects/mask_rcnn/configs/mask_rcnn.py", weights="random")
start = lambda address: threading.Thread(target=visit, args=(address,)).start()
serve(omgseg.OMGSegInferencer(model), port=0, ready=start)
"""


def test_a_foreign_model_is_on_the_page(reader, run_in):
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    pytest.importorskip("gradio", reason="Gradio is not installed (omgseg[web])")
    if shutil.which("chromium") is None:
        pytest.skip("no chromium here (Debian: apt-get install chromium)")
    for block in blocks_of(PAGE):
        if block.kind == "file":
            (reader / block.what).parent.mkdir(parents=True, exist_ok=True)
            (reader / block.what).write_text(block.code)
    done = run_in(reader, "python", VISIT)
    assert done.returncode == 0 and done.stdout, done.stderr[-4000:]
    assert "Picture" in done.stdout and "Clicks" not in done.stdout, done.stdout
