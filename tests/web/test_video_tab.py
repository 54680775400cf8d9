from types import SimpleNamespace

import pytest

pytest.importorskip("gradio", reason="Gradio is not installed (omgseg[web])")

from omgseg.web.video_tab import VideoTab


def visitor(name: str) -> SimpleNamespace:
    return SimpleNamespace(session_hash=name)


@pytest.mark.parametrize("leaves", ["before it begins", "at the first news"])
def test_a_visitor_who_leaves_early_does_not_keep_the_model_busy(site, film, leaves):
    tab = VideoTab(site)
    asked = (str(film), "Everything (panoptic)", "", 0.3, 0.5, False, visitor("a"))
    if leaves == "before it begins":
        tab.leave(visitor("a"))
        assert list(tab.segment(*asked)) == []
    else:
        work = tab.segment(*asked)
        next(work)
        tab.leave(visitor("a"))
        (last,) = work
        assert "Stopped" in last[1]
    assert not list(site.workspace.path.glob("result-*/*"))


def test_who_stops_may_begin_again_and_stops_nobody_else(site, film):
    tab = VideoTab(site)
    asked = (str(film), "Everything (panoptic)", "", 0.3, 0.5, False)
    tab.stop(visitor("a"))
    work = tab.segment(*asked, visitor("a"))
    next(work)
    tab.leave(visitor("b"))
    *_, last = work
    assert last[0].endswith("scene_segments.mp4")
