"""Exit status of the commands, and the error that ends one before it starts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

OK = 0
SOME_FAILED = 1
USAGE = 2
INTERRUPTED = 130


class UsageError(Exception):
    """What the user gave cannot be used; the message names it and the fix, in one line."""


@contextmanager
def user_errors() -> Iterator[None]:
    """Around what reads the user's config, weights and words: errors that name what is wrong end the command.

    Raises:
        UsageError: instead of any OSError, ValueError or ImportError.
    """
    try:
        yield
    except (OSError, ValueError, ImportError) as error:
        raise UsageError(str(error) or type(error).__name__) from error
