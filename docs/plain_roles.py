"""Makes Markdown of what Sphinx would read in docstrings: roles, and ``::`` before examples."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

_SHORT_ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):`~[\w.]*?(\w+)`")
_ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):`([\w.]+)`")
_EXAMPLE = re.compile(r"(?<=\S):(?=:$)|^::$", re.MULTILINE)


class PlainRoles(Extension):
    """:class:`~a.B` becomes `B`, :class:`a.B` becomes `a.B`, both as code."""

    def on_object(self, *, obj: Object, **kwargs: Any) -> None:
        if obj.docstring is not None:
            text = _ROLE.sub(r"`\1`", _SHORT_ROLE.sub(r"`\1`", obj.docstring.value))
            obj.docstring.value = _EXAMPLE.sub("", text)
