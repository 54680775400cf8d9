"""The routes of the installed Gradio, each of which the campaign attacks."""

import pytest

pytest.importorskip("gradio", reason="Gradio is not installed (omgseg[web])")

from fastapi.routing import iter_route_contexts

from omgseg.web.gate import READ, READ_BELOW, WRITE
from tests.chaos.web_page import CLOSED, OPEN


def installed_routes(site) -> set[str]:
    """Method and path of every route, those that end in a slash as those that do not."""
    found = set()
    for route in iter_route_contexts(site.routes):
        for method in route.methods or {"MOUNT"}:
            found.add(f"{method} {route.path.rstrip('/') or '/'}")
    return found


def test_an_upgrade_of_gradio_adds_no_route_that_nobody_looked_at(site):
    routes = installed_routes(site)
    assert not OPEN & CLOSED
    new, gone = routes - OPEN - CLOSED, (OPEN | CLOSED) - routes
    assert not new, f"decide in omgseg/web/gate.py and tests/chaos/web_page.py: {sorted(new)}"
    assert not gone, f"these are no longer there: {sorted(gone)}"


def test_what_the_gate_opens_is_what_the_campaign_calls_open():
    readable = {route.split(" ")[1].split("{")[0] for route in OPEN if not route.startswith("POST")}
    assert readable == {*READ, *READ_BELOW}
    written = {
        route.split(" ")[1].replace("{api_name}", "predict") for route in OPEN if route.startswith("POST")
    }
    assert written == WRITE
