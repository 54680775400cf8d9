"""The page shows what the loaded model can do, and nothing else."""

import httpx
import numpy as np
import pytest

pytest.importorskip("gradio", reason="Gradio is not installed (omgseg[web])")

from omgseg.inference import OMGSegInferencer
from omgseg.protocols import Abilities
from omgseg.structures import Task, Vocabulary
from omgseg.web import Limits, build_app
from omgseg.web.parts import Site
from omgseg.web.uploads import Refused, Workspace
from tests.fakes import WORDS, ClickOnlyFake, ExemplarFake, FakeSegmenter, ImageOnlyFake


class BoxOnlyFake(ClickOnlyFake):
    abilities = Abilities(tasks=frozenset({Task.INTERACTIVE}), prompts=frozenset({"boxes"}))


class WordlessFake(ImageOnlyFake):
    """Segments parts of pictures, without words."""

    abilities = Abilities(tasks=frozenset({Task.INSTANCE}))


class NothingFake(ClickOnlyFake):
    abilities = Abilities(tasks=frozenset({Task.INTERACTIVE}))


def layout(app) -> tuple[list[str], dict[str, dict]]:
    """The tabs, and the visible controls by id or label, as browsers are told."""
    components = app.get_config_file()["components"]
    tabs = [each["props"]["label"] for each in components if each["type"] == "tabitem"]
    controls = {
        each["props"].get("elem_id") or each["props"].get("label") or "": {
            **each["props"],
            "type": each["type"],
        }
        for each in components
        if each["type"] not in ("tabitem", "state") and each["props"].get("visible", True)
    }
    return tabs, controls


def page_of(model) -> tuple[list[str], dict[str, dict], str]:
    app = build_app(OMGSegInferencer(model))
    tabs, controls = layout(app)
    app.omgseg_site.workspace.close()
    return tabs, controls, controls["title"]["value"]


def choices(control: dict) -> list[str]:
    return [name for name, _ in control["choices"]]


def test_a_model_that_can_do_everything():
    tabs, controls, title = page_of(FakeSegmenter())
    assert tabs == ["Picture", "Clicks", "Video"]
    assert controls["image-words"]["type"] == controls["video-words"]["type"] == "textbox"
    assert controls["click-words"]["type"] == "textbox"
    assert len(choices(controls["click-mode"])) == 5
    assert "with your own words, or with clicks" in title
    tasks = [each for each in _radios(FakeSegmenter()) if each != choices(controls["click-mode"])]
    assert [len(each) for each in tasks] == [4, 3] and "All masks" in tasks[0]


def test_a_model_of_images_with_fixed_words():
    tabs, controls, title = page_of(ImageOnlyFake())
    assert tabs == ["Picture", "Video"]
    for name in ("image-words", "video-words"):
        assert controls[name]["type"] == "dropdown" and choices(controls[name]) == list(WORDS.names)
    assert not [name for name in controls if name.startswith("click-")]
    assert all("All masks" not in each for each in _radios(ImageOnlyFake()))
    assert "your own words" not in title and "click" not in title


def test_a_model_of_clicks_only():
    tabs, controls, title = page_of(ClickOnlyFake())
    assert tabs == ["Clicks"]
    assert not [name for name in controls if name.endswith("-words")]
    assert len(choices(controls["click-mode"])) == 3
    assert "clicks" in title and "word" not in title


def test_a_model_of_exemplars_without_clicks():
    tabs, controls, _ = page_of(ExemplarFake())
    assert tabs == ["Picture", "Clicks", "Video"]
    assert all("exemplar" in each for each in choices(controls["click-mode"]))
    assert "two corners" in controls["click-status"]["value"]


def test_kinds_of_clicks_are_those_of_the_model():
    tabs, controls, _ = page_of(BoxOnlyFake())
    assert tabs == ["Clicks"] and "click-mode" not in controls, "a choice of one is none"


def test_a_model_without_words_has_no_box_for_them():
    tabs, controls, _ = page_of(WordlessFake())
    assert tabs == ["Picture", "Video"]
    assert not [name for name in controls if name.endswith("-words")] and _radios(WordlessFake()) == []


def test_a_model_for_which_there_is_no_page():
    with pytest.raises(ValueError, match="nothing to show"):
        build_app(OMGSegInferencer(NothingFake()))


def _radios(model) -> list[list[str]]:
    app = build_app(OMGSegInferencer(model))
    app.omgseg_site.workspace.close()
    return [
        choices(each["props"])
        for each in app.get_config_file()["components"]
        if each["type"] == "radio" and each["props"].get("visible", True)
    ]


@pytest.fixture
def sites():
    """``sites(model, limits)``: what the tabs of a model share."""
    opened = []

    def make(model, limits=None) -> Site:
        limits = limits or Limits()
        opened.append(Site(OMGSegInferencer(model), limits, Workspace(limits)))
        return opened[-1]

    yield make
    for site in opened:
        site.workspace.close()


def test_words_beyond_the_choice_are_refused(sites):
    site = sites(ImageOnlyFake())
    assert site.words_of([], Task.PANOPTIC) is None
    assert site.words_of(["blue", "red", "blue"], Task.PANOPTIC).names == ["blue", "red"]
    with pytest.raises(Refused, match="no word 'dog'"):
        site.words_of(["dog"], Task.PANOPTIC)
    for task in ("All masks", "nonsense", None):
        with pytest.raises(Refused, match="no task"):
            site.task_of(task)
    with pytest.raises(Refused, match="no task"):
        sites(FakeSegmenter()).task_of("All masks", video=True)


def test_semantic_requests_are_bounded_by_words_and_pixels(sites):
    site = sites(FakeSegmenter(), Limits(word_megapixels=10))
    words = Vocabulary.from_names([f"word {number}" for number in range(20)])
    site.check_work(Task.SEMANTIC, words, 500, 1000)
    site.check_work(Task.PANOPTIC, words, 2000, 1000)
    with pytest.raises(Refused, match="20 words .* 2.0 megapixels: at most 5"):
        site.check_work(Task.SEMANTIC, words, 2000, 1000)
    with pytest.raises(Refused, match=f"{len(WORDS)} words"):
        site.check_work(Task.SEMANTIC, None, 2000, 2000)


def test_a_page_of_fixed_words_in_a_browser(serve, visit, photo):
    with serve(OMGSegInferencer(ImageOnlyFake())) as site, visit(site) as page:
        page.set_input_files("#image-in input[type=file]", photo)
        page.locator("#image-in img").wait_for()
        page.click("#image-words input")
        page.get_by_role("option", name="blue").click()
        page.keyboard.press("Escape")
        page.click("#image-start")
        page.locator("#image-legend .name", has_text="blue").wait_for()
        assert page.locator("#image-legend .name").all_inner_texts() == ["blue"]


def test_an_upload_is_segmented_without_a_browser(site, photo):
    """What a script may ask; also the page's own way through the gate."""
    with httpx.Client(base_url=site.url, timeout=20) as client:
        uploaded = client.post(
            "gradio_api/upload", files={"files": ("a b#%.png", photo.read_bytes())}
        ).json()[0]
        config = client.get("config").json()
        kinds = {block["id"]: block["type"] for block in config["components"]}
        number, inputs = next(
            (event["id"], [kinds[each] for each in event["inputs"]])
            for event in config["dependencies"]
            if [kinds[each] for each in event["inputs"]][:1] == ["image"] and len(event["inputs"]) > 2
        )
        file = {"path": uploaded, "meta": {"_type": "gradio.FileData"}}
        values = [file, "Objects (instance)", "", 0.3, 0.5, False]
        assert len(inputs) == len(values)
        asked = {"fn_index": number, "session_hash": "abc", "data": values}
        assert client.post("gradio_api/queue/join", json=asked).status_code == 200
        with client.stream("GET", "gradio_api/queue/data", params={"session_hash": "abc"}) as news:
            told = next(line for line in news.iter_lines() if "process_completed" in line)
    assert '"success":true' in told.replace(" ", "") and np.char.find(told, "blue") >= 0
