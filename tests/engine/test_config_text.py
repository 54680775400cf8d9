"""A config's text is formatted once, and anew when the config has changed."""

import pytest
from mmengine.config import Config

from omgseg.engine.runner import format_configs_once


@pytest.fixture
def formatted(monkeypatch) -> list[str]:
    """Texts that went through the formatter."""
    seen = []

    def count(text: str, *args, **kwargs) -> tuple[str, bool]:
        seen.append(text)
        return text, True

    monkeypatch.setattr("yapf.yapflib.yapf_api.FormatCode", count)
    return seen


def test_equal_configs_are_formatted_once(formatted):
    format_configs_once()
    content = dict(model=dict(type="OMGSeg", sizes=[1, 2]), text_of_this_test=1)
    text = Config(content).pretty_text
    assert Config(content).pretty_text == text and "OMGSeg" in text
    assert len(formatted) == 1
    changed = Config(content)
    changed.model.sizes[0] = 7
    assert "7" in changed.pretty_text
    assert len(formatted) == 2


def test_few_texts_are_kept(formatted):
    format_configs_once()
    for number in [*range(9), 0]:
        assert f"few_texts={number}" in Config(dict(few_texts=number)).pretty_text
    assert len(formatted) == 10
