"""Exit status of the commands, and the error that ends one before it starts."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager

OK = 0
SOME_FAILED = 1
USAGE = 2
INTERRUPTED = 130


class UsageError(Exception):
    """What the user gave cannot be used; the message names it and the fix, in one line."""


DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)
"""No mistake of the user's command: a disk that is full, or fails."""


@contextmanager
def user_errors() -> Iterator[None]:
    """Around what reads the user's config, weights and words: errors that name what is wrong end the command.

    Raises:
        UsageError: instead of any ValueError or ImportError, and of any OSError that is not of :data:`DISK_ERRORS`.
    """
    try:
        yield
    except (OSError, ValueError, ImportError) as error:
        if isinstance(error, OSError) and error.errno in DISK_ERRORS:
            raise
        raise UsageError(one_line(error)) from error


def complain(error: object) -> None:
    """Tell of one failure; the others go on."""
    print(f"error: {one_line(error)}", file=sys.stderr)


def one_line(error: object) -> str:
    """What an error says, in one line."""
    return " ".join(str(error).split()) or type(error).__name__
