"""Damage for files: bytes that change, and JSON whose fields hold something else."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

DEEP = 200_000
"""More levels of nesting than any reader can follow."""
FOREIGN = (
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff\xe0",
    b"PK\x03\x04",
    b"#EXTM3U\n",
    b"{}",
    b"GIF89a",
    b"\x80\x04",
)
"""Beginnings of files of other kinds."""
VALUES: tuple[Any, ...] = (
    None,
    "",
    "x",
    "../../../etc/passwd",
    "/etc/passwd",
    "\ud800",
    "\n\0",
    "y" * 50_000,
    {},
    [],
    [[]],
    {"a": {"b": []}},
    True,
    -1,
    0,
    0.5,
    10**6,
    10**9,
    2**31,
    2**63,
    2**70,
    -(2**63),
    1e308,
    float("nan"),
    float("inf"),
    float("-inf"),
)


def truncate(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.choice((0, 1, 8, rng.randrange(len(data)), len(data) - 1, len(data) // 2))]


def flip(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 4, 16))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def flip_in_head(data: bytes, rng: random.Random) -> bytes:
    """Heads hold sizes, which readers believe."""
    head = min(len(data), 64)
    return flip(data[:head], rng) + data[head:]


def overwrite(data: bytes, rng: random.Random) -> bytes:
    start, length = rng.randrange(len(data)), rng.choice((4, 64, 1024))
    return data[:start] + rng.choice((b"\0", b"\xff", b"{"))[:1] * length + data[start + length :]


def cut_out(data: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(data))
    return data[:start] + data[start + rng.randrange(1, 400) :]


def repeat(data: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(data))
    return data[: start + 200] + data[start:]


def other_head(data: bytes, rng: random.Random) -> bytes:
    head = rng.choice(FOREIGN)
    return head + data[rng.choice((0, len(head))) :]


BYTES: dict[str, Callable[[bytes, random.Random], bytes]] = {
    change.__name__: change
    for change in (truncate, flip, flip_in_head, overwrite, cut_out, repeat, other_head)
}


def places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a tree of JSON, the root left out."""
    entries = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in entries:
        yield (*path, key)
        yield from places(value, (*path, key))


def mutate_json(text: str, rng: random.Random) -> tuple[str, str]:
    """One field changed: what was done, and the text."""
    content = json.loads(text)
    by_depth: dict[int, list[tuple[Any, ...]]] = {}
    for path in places(content):
        by_depth.setdefault(len(path), []).append(path)
    path = rng.choice(
        by_depth[rng.choice(list(by_depth))]
    )  # few fields are near the root, and most of the meaning
    node = content
    for key in path[:-1]:
        node = node[key]
    where, last = ".".join(map(str, path)), path[-1]
    way = rng.choice(("value", "value", "value", "delete", "twice", "sibling", "deep", "number"))
    if way == "delete":
        del node[last]
        return f"{where} deleted", json.dumps(content)
    if way == "twice" and isinstance(node, list):
        node.append(node[last])
        return f"{where} twice", json.dumps(content)
    if way == "sibling":
        other = rng.choice(list(node) if isinstance(node, dict) else range(len(node)))
        node[last] = node[other]
        return f"{where} is {other}", json.dumps(content)
    if way == "deep":
        node[last] = "DEEP"
        return f"{where} nested", json.dumps(content).replace('"DEEP"', "[" * DEEP + "]" * DEEP)
    if way == "number" and isinstance(node[last], int | float):
        node[last] *= rng.choice((-1, 0, 2, 10, 1e8, 0.999))
    else:
        node[last] = rng.choice(VALUES)
    return f"{where} = {str(node[last])[:30]!r}", json.dumps(content)
