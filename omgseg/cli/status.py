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
    """A mistake in the command; the message names it and the fix, in one line."""


DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.ESTALE)
"""Errors of a full or failing disk or of a lost network drive, which are not mistakes in the command."""


@contextmanager
def user_errors() -> Iterator[None]:
    """Turn errors in the user's config, weights and words into UsageErrors.

    Raises:
        UsageError: instead of a ValueError, an ImportError, or an OSError that is not one of :data:`DISK_ERRORS`.
    """
    try:
        yield
    except (OSError, ValueError, ImportError) as error:
        if isinstance(error, OSError) and error.errno in DISK_ERRORS:
            raise
        raise UsageError(one_line(error)) from error


def complain(error: object) -> None:
    """Print one failure; the command continues."""
    print(f"error: {one_line(error)}", file=sys.stderr)


def one_line(error: object) -> str:
    """The message of an error in one line."""
    return " ".join(str(error).split()) or type(error).__name__
