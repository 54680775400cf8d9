"""Visitors of the web page: many at once, some who leave, and some who want what others have."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from pathlib import Path

import numpy as np

from tests.chaos.campaign import FAILURE, RIGHT, Outcome
from tests.chaos.common_inputs import write_film
from tests.chaos.visitors import (
    JSON,
    SECONDS,
    STYLE,
    TASK,
    Action,
    Page,
    Told,
    Visitor,
    click_at,
    events_of,
    file,
    image_data,
    png,
    refused,
    told,
)
from tests.fakes import COLOURS, moving_square, picture

VISITORS = 50
ALL_SERVED_WITHIN = 150
"""Seconds; who finds the queue full asks again."""


def visits() -> dict[str, Action]:
    return {
        f"{VISITORS} visitors at once": _at_once,
        "visitors who do not wait for results": _impatient,
        "visitors who leave a film": _leaving,
        "100 pages that stay open": _heartbeats,
        "another visitor's result": _others_result,
        "another visitor's clicks": _others_clicks,
        "another visitor's film": _others_film,
        "another visitor's uploads": _others_uploads,
    }


def _at_once(place: Page) -> Outcome:
    """Each has a picture of one colour, and sees that colour."""
    wrong: list[str] = []

    def visit(number: int) -> None:
        colour = ("red", "blue")[number % 2]
        visitor = Visitor(place)
        deadline = time.monotonic() + ALL_SERVED_WITHIN
        try:
            given = visitor.upload(png(picture(60, 80 + number, (colour, 10, 10, 40, 30))))
            while True:
                try:
                    event = events_of(place)["image-start click"]
                    outputs = visitor.do(event, [file(given), TASK, "", *STYLE])
                    break
                except Told as sentence:
                    if "full" not in str(sentence) or time.monotonic() > deadline:
                        raise
                    time.sleep(1)
        except (OSError, Told, http.client.HTTPException) as error:
            wrong.append(f"{number}: {error!r}")
            return
        shown = [name for name in COLOURS if f">{name}<" in json.dumps(outputs)]
        if shown != [colour]:
            wrong.append(f"{number} sees {shown}, not {colour}")

    threads = [threading.Thread(target=visit, args=(number,)) for number in range(VISITORS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Outcome(FAILURE, f"{len(wrong)}: {wrong[:5]}") if wrong else Outcome(RIGHT)


def _impatient(place: Page) -> Outcome:
    """They ask for a result and are gone."""
    event = events_of(place)["image-start click"]
    for _ in range(30):
        visitor = Visitor(place)
        visitor.join(event, image_data(visitor))
    return _works(place)


def _works(place: Page) -> Outcome:
    """Whether another visitor gets a result, in time."""
    visitor = Visitor(place)
    deadline = time.monotonic() + SECONDS
    while True:
        outcome = told(lambda: visitor.do(events_of(place)["image-start click"], image_data(visitor)))
        if outcome.kind == RIGHT:
            return outcome
        if time.monotonic() > deadline:
            return Outcome(FAILURE, f"nobody else gets a result: {outcome.text}")
        time.sleep(0.2)


def _leaving(place: Page) -> Outcome:
    for _ in range(5):
        visitor = Visitor(place)
        heart = _beating(visitor)
        event = events_of(place)["video-start click"]
        given = file(visitor.upload(_film_bytes(), "a.mp4"))
        visitor.join(event, [given, TASK, "", *STYLE])
        heart.close()
    return _works(place)


def _beating(visitor: Visitor) -> socket.socket:
    """The connection by which a page tells that it is open."""
    connection = socket.create_connection(("127.0.0.1", visitor.page.port), timeout=SECONDS)
    path = f"/gradio_api/heartbeat/{visitor.session}"
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    connection.recv(100)
    return connection


def _heartbeats(place: Page) -> Outcome:
    hearts = [_beating(Visitor(place)) for _ in range(100)]
    outcome = _works(place)
    for heart in hearts:
        heart.close()
    return outcome


def _film_bytes() -> bytes:
    return write_film(Path("visit.mp4"), moving_square(12, 64, 96)).read_bytes()  # in the folder of the case


def _others_result(place: Page) -> Outcome:
    """What a visitor was shown is neither listed, nor guessed, nor in the state of another one."""
    owner, other = Visitor(place), Visitor(place)
    outputs = owner.do(events_of(place)["image-start click"], image_data(owner))
    own = next(value["path"] for value in outputs if isinstance(value, dict) and "path" in value)
    if owner.ask("GET", f"/gradio_api/file={own}").status != 200:
        return Outcome(FAILURE, "the visitor cannot see the own result")
    folder = Path(own).parent
    for path in (folder, folder.parent, f"{folder}/*", f"{folder}/", f"{place.workspace}/result-*/view.png"):
        if (outcome := refused(other.ask("GET", f"/gradio_api/file={path}"))).kind == FAILURE:
            return outcome
    restyled = [event for event in events_of(place).values() if event.inputs[:2] == ("state", "slider")]
    for data in ([None, *STYLE], [own, *STYLE], [[{"path": own}], *STYLE]):
        try:
            shown = json.dumps(other.do(restyled[0], data))
        except Told:
            continue
        if folder.name in shown:
            return Outcome(FAILURE, f"another visitor sees {shown[:200]}")
    return Outcome(RIGHT)


def _others_clicks(place: Page) -> Outcome:
    owner, other = Visitor(place), Visitor(place)
    given = file(owner.upload(png(picture(60, 80, ("red", 10, 10, 40, 30)))))
    owner.do(events_of(place)["click-picture upload"], [given])
    event = events_of(place)["click-picture select"]
    data = [None, None, "Part of the object (+)", *([None] * (len(event.inputs) - 3))]
    outcome = told(lambda: other.do(event, data, event_data=click_at(20, 20)))
    return Outcome(FAILURE, "a click into another visitor's picture") if outcome.kind == RIGHT else outcome


def _others_film(place: Page) -> Outcome:
    """Nobody stops or cancels the work for another visitor."""
    owner, other = Visitor(place), Visitor(place)
    event = events_of(place)["video-start click"]
    given = file(owner.upload(_film_bytes(), "a.mp4"))
    joined = json.loads(owner.join(event, [given, TASK, "", *STYLE]).body)["event_id"]
    stop = events_of(place)["video-stop click"]
    body = {"fn_index": stop.number, "session_hash": other.session, "data": []}
    other.ask("POST", "/gradio_api/run/predict", json.dumps(body), JSON)
    body = {"session_hash": other.session, "fn_index": event.number, "event_id": "1"}
    other.ask("POST", "/gradio_api/cancel", json.dumps(body), JSON)
    outputs = json.dumps(owner.outputs(joined))
    return Outcome(RIGHT) if "segments.mp4" in outputs else Outcome(FAILURE, f"no film: {outputs[:200]}")


def _others_uploads(place: Page) -> Outcome:
    """The name of an upload holds a digest of its content: who does not have the content cannot name it."""
    owner, other = Visitor(place), Visitor(place)
    given = Path(owner.upload(png(np.random.default_rng().integers(0, 255, (20, 20, 3), np.uint8))))
    digest = given.parent.name
    for name in ("0" * len(digest), digest[:-1], digest[:8] + "*", ".", ""):
        answer = other.ask("GET", f"/gradio_api/file={given.parent.parent}/{name}/a.png")
        if (outcome := refused(answer)).kind == FAILURE:
            return outcome
    return outcome if len(digest) >= 32 else Outcome(FAILURE, f"{given} can be guessed")
