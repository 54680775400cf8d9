"""Names of clicked objects on the page: from typed words, and from label spaces."""

import pytest

pytest.importorskip("gradio", reason="Gradio is not installed (omgseg[web])")

from types import SimpleNamespace

import gradio as gr
from PIL import Image

from omgseg.inference import OMGSegInferencer, UnsupportedRequest
from omgseg.protocols import MissingWords
from omgseg.web import Limits, build_app
from omgseg.web.click_tab import ADD, TYPED, ClickTab
from omgseg.web.parts import Site, guarded, label_spaces_of
from omgseg.web.uploads import Refused, Workspace
from tests.fakes import ClickOnlyFake, FakeSegmenter, picture

ASKS = {"event": SimpleNamespace(index=(12, 15)), "request": SimpleNamespace(session_hash="a")}


@pytest.fixture
def spaces(tmp_path):
    file = tmp_path / "my_words.txt"
    file.write_text("\n".join(["red", "blue"] + [f"thing {number}" for number in range(21_998)]))
    return label_spaces_of(OMGSegInferencer(FakeSegmenter()), ["lvis", str(file)])


@pytest.fixture
def tab(spaces):
    site = Site(OMGSegInferencer(FakeSegmenter()), Limits(), Workspace(), spaces)
    yield ClickTab(site)
    site.workspace.close()


@pytest.fixture
def clicks(tab, tmp_path):
    file = tmp_path / "picture.png"
    Image.fromarray(picture(60, 80, ("red", 10, 10, 30, 25))).save(file)
    return tab.start(str(file), ASKS["request"])[0]


def test_label_spaces_are_known_lists_and_files(spaces):
    assert list(spaces) == ["lvis (1,203 words)", "my_words (22,000 words)"]


def test_a_click_shows_five_names_of_a_label_space(tab, clicks):
    state, _, status, *_ = tab.click(
        clicks, clicks.path, ADD, "blue", **ASKS, space="my_words (22,000 words)"
    )
    names = state.result.top_names[0]
    assert len(names) == 5 and names[0][0] == "red"
    assert "It looks like:" in status and status.count("<li>") == 5
    assert '<span class="name">red</span><span class="notes">90.0 %</span>' in status


def test_typed_words_give_names_where_no_label_space_is_chosen(tab, clicks):
    state, _, status, *_ = tab.click(clicks, clicks.path, ADD, "blue, red", **ASKS, space=TYPED)
    assert [name for name, _ in state.result.top_names[0]] == ["red", "blue"] and status.count("<li>") == 2
    undone = tab.undo(state, ASKS["request"])
    assert "<li>" not in undone[2]
    with pytest.raises(Refused, match="no label space 'other'"):
        tab.click(clicks, clicks.path, ADD, "", **ASKS, space="other")


def test_the_choice_is_shown_where_there_is_one(spaces):
    for label_spaces, visible in ((spaces, True), ({}, False)):
        app = build_app(OMGSegInferencer(FakeSegmenter()), label_spaces=label_spaces)
        (choice,) = (block for block in app.blocks.values() if block.elem_id == "click-names")
        assert choice.visible == visible
        app.omgseg_site.workspace.close()


def test_words_without_embeddings_are_named_to_the_visitor(caplog):
    def handler():
        raise MissingWords(["zebra", "yak"], "/srv/secret/clip.pt does not exist")

    with pytest.raises(gr.Error, match="cannot read 'zebra', 'yak': the server lacks") as error:
        guarded(handler)()
    assert "secret" not in str(error.value) and "secret" in caplog.text


def test_label_spaces_that_cannot_be_used_are_named():
    seg = OMGSegInferencer(FakeSegmenter())
    with pytest.raises(FileNotFoundError, match="'lvsi'.*did you mean.*lvis"):
        label_spaces_of(seg, ["lvsi"])
    with pytest.raises(UnsupportedRequest, match="names for masks"):
        label_spaces_of(OMGSegInferencer(ClickOnlyFake()), ["lvis"])
