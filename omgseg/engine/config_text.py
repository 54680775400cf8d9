"""The text of a config, which mmengine formats anew whenever it is asked for."""

from __future__ import annotations

from functools import cache, wraps

from mmengine.config import Config

_KEPT = 8
"""Texts that are remembered."""


@cache
def format_configs_once() -> None:
    """Let a run format its config once instead of four times: for log, file, visualizer and checkpoints.

    Each time takes one to two seconds.
    """
    texts: dict[str, str] = {}
    fresh = Config.pretty_text.fget

    @wraps(fresh)
    def pretty_text(config: Config) -> str:
        content = repr(config._cfg_dict)
        if content not in texts:
            while len(texts) >= _KEPT:
                del texts[next(iter(texts))]
            texts[content] = fresh(config)
        return texts[content]

    Config.pretty_text = property(pretty_text)
