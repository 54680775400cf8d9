"""Errors reach the visitor as a message in the page; the server goes on."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gradio as gr

from omgseg.web.limits import Refused

LOGGER = logging.getLogger(__name__)
SECONDS_SHOWN = 12


def guarded(handler: Callable[..., Any]) -> Callable[..., Any]:
    """A handler, or a generator as one, whose errors become messages.

    What the visitor can mend is told as it is. Anything else goes to the log with its traceback, and the visitor learns
    its kind only: messages of inner errors may name files of the server.
    """
    if inspect.isgeneratorfunction(handler):

        @functools.wraps(handler)
        def generate(*args: Any, **kwargs: Any) -> Iterator[Any]:
            with _messages():
                yield from handler(*args, **kwargs)

        return generate

    @functools.wraps(handler)
    def call(*args: Any, **kwargs: Any) -> Any:
        with _messages():
            return handler(*args, **kwargs)

    return call


@contextmanager
def _messages() -> Iterator[None]:
    try:
        yield
    except gr.Error:
        raise
    except Refused as error:
        raise _shown(str(error), "Not accepted") from None
    except MemoryError:
        LOGGER.exception("out of memory")
        raise _shown("There is not enough memory for this. Try a smaller one.", "Not possible") from None
    except Exception as error:
        LOGGER.exception("a request failed")
        kind = type(error).__name__
        raise _shown(f"This did not work ({kind}). The log of the server says more.", "Error") from None


def _shown(message: str, title: str) -> gr.Error:
    return gr.Error(message, duration=SECONDS_SHOWN, title=title, print_exception=False)
