"""Safe names, and files that appear complete or not at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from omgseg.files import (
    NAME_BYTES,
    parse_json,
    remove_abandoned,
    safe_name,
    safe_path,
    unique_name,
    whole_file,
)

HOSTILE = [
    "..",
    "../../etc/passwd",
    "/etc/passwd",
    "*",
    "photos/*.jpg",
    "a\nb",
    "a\x00b\x1b[31m\x7f",
    "x" * 255,
    "x" * 4000,
    "ü" * 200,
    "-rf",
    "--out=x",
    "",
    ".",
    "...",
    ".hidden",
    'a<b>c:d"e|f?g',
    "C:\\windows\\system32",
    "CON",
    "nul.txt",
    "COM1",
    "ends with a dot.",
    "ends with a space ",
    os.fsdecode(b"caf\xe9"),
    "\ud800",
    "line\u2028separator",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_any_name_becomes_one_that_every_system_takes(name, tmp_path):
    safe = safe_name(name)

    assert 0 < len(safe.encode()) <= NAME_BYTES
    assert safe[0] not in "-." and safe[-1] not in ". "
    assert not set(safe) & set('<>:"|?*/\\') and safe.isprintable()
    assert safe.split(".")[0].upper() not in ("CON", "NUL", "COM1")
    with whole_file(tmp_path / f"{safe}_12.png") as temporary:
        temporary.write_text("content")
    assert [path.name for path in tmp_path.iterdir()] == [f"{safe}_12.png"]


@pytest.mark.parametrize(
    "name", ["street", "frame 1 (2)", "a.b", "über-Straße", "00001", "日本", "x" * NAME_BYTES]
)
def test_an_ordinary_name_stays(name):
    assert safe_name(name) == name


def test_different_names_stay_different():
    names = [*HOSTILE, "x" * 254, "ü" * 199, "a*b", "a?b", "a_b", "../x", "x", "a\rb"]
    assert len({safe_name(name) for name in names}) == len(set(names))


def test_names_are_cut_between_characters():
    assert safe_name("日本" * 100).rpartition("-")[0].strip("日本") == ""


def test_a_default_stands_for_nothing():
    assert safe_name("", "image") == "image"
    assert safe_name("..", "image").startswith("image-")


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("video/00001", "video/00001"),
        ("/etc/passwd", "passwd"),
        ("../../x", "x"),
        ("a/./b", "a/b"),
        ("", "image"),
    ],
)
def test_folders_of_a_path_are_kept_where_they_lead_down(name, safe):
    assert safe_path(name, "image").as_posix() == safe


def test_parts_of_a_path_are_safe():
    parts = safe_path("a*/-b").parts
    assert [part[:2] for part in parts] == ["a_", "b-"]


def test_taken_names_get_a_number_whatever_their_case():
    used: set[str] = set()
    assert [unique_name(name, used) for name in ("a", "A", "a", "b")] == ["a", "A_2", "a_3", "b"]


def test_a_file_of_the_longest_possible_name_is_written(tmp_path):
    path = tmp_path / ("ü" * 127)
    with whole_file(path) as temporary:
        temporary.write_text("content")
    assert path.read_text() == "content"


def test_two_writers_of_a_file_do_not_meet(tmp_path):
    path = tmp_path / "file"
    with whole_file(path) as first, whole_file(path) as second:
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first"
    assert os.listdir(tmp_path) == ["file"]


def test_an_error_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), whole_file(tmp_path / "file") as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert os.listdir(tmp_path) == []


def test_a_full_disk_is_told_with_the_name_of_the_file(tmp_path):
    path = tmp_path / "film.mp4"
    with pytest.raises(OSError, match=r"No space left on device: '.*film\.mp4'"), whole_file(path):
        os.write(os.open("/dev/full", os.O_WRONLY), b"x")
    assert os.listdir(tmp_path) == []


def test_json_that_is_nested_too_deep_is_a_mistake_as_any_other():
    assert parse_json(b'{"a": [1]}') == {"a": [1]}
    for text in ("[" * 200_000, '{"a":' * 200_000, "{"):
        with pytest.raises(ValueError):
            parse_json(text)


def test_what_a_killed_writer_left_is_gone_after_the_next_one(tmp_path):
    path = tmp_path / "film.mp4"
    code = (
        "import sys, time; from omgseg.files import whole_file\n"
        "with whole_file(sys.argv[1]) as file: file.write_text('half'); print('ready', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE)
    process.stdout.readline()
    with whole_file(path) as temporary:  # the other one is alive
        temporary.write_text("x")
    assert len(os.listdir(tmp_path)) == 2
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert len(os.listdir(tmp_path)) == 2

    with whole_file(path) as temporary:
        temporary.write_text("whole")

    assert os.listdir(tmp_path) == ["film.mp4"] and path.read_text() == "whole"


def test_many_threads_may_write_one_file(tmp_path):
    path = tmp_path / "file"

    def write(number: int) -> None:
        for _ in range(50):
            with whole_file(path) as temporary:
                temporary.write_text(str(number) * 100)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    assert os.listdir(tmp_path) == ["file"] and len(set(path.read_text())) == 1


def test_what_killed_processes_left_is_removed(tmp_path):
    code = (
        "import os, sys; from omgseg.files import whole_file\n"
        "with whole_file(sys.argv[1]) as t: t.write_text('half'); os._exit(1)"
    )
    for name in ("a.pth", "b.json"):
        subprocess.run([sys.executable, "-c", code, str(tmp_path / name)], check=False)
    (tmp_path / ".notes.tmp").touch()
    with whole_file(tmp_path / "c.pth") as alive:
        assert [path.name for path in remove_abandoned(tmp_path, "*.pth")] == [".a.pth.0.tmp"]
        assert alive.exists()
        remove_abandoned(tmp_path)
        alive.write_text("whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".notes.tmp", "c.pth"]
