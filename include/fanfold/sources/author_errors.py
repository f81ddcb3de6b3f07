"""Exceptions of functions that a pipeline's author wrote, as one sentence with the line."""

from __future__ import annotations

import traceback
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fanfold.messages import ENGINE

if TYPE_CHECKING:
    from collections.abc import Callable

    from fanfold.messages import Message

_MAX_TEXT = 300


def author_error(error: BaseException, function: Callable[..., Any]) -> Message:
    """Return type and text of an exception, and the last line of the author's code that it passed.

    The author's code is the top-level package of ``function``; if the exception passed none of it, as
    with a wrong number of parameters, the line of the function is named.
    """
    while isinstance(function, partial):
        function = function.func
    code = getattr(function, "__code__", None)
    at = last_line(error, getattr(function, "__module__", "").partition(".")[0]) or (
        f"{Path(code.co_filename).name}:{code.co_firstlineno}" if code else type(function).__name__
    )
    return ENGINE.message("function.error", error=described(error), at=at)


def described(error: BaseException) -> str:
    """Return type and text of an exception in one line, shortened."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}…"


def last_line(error: BaseException, package: str) -> str:
    """Return file and line of the last code of a package that an exception passed, or ""."""
    at = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        if frame.f_globals.get("__name__", "").partition(".")[0] == package:
            at = f"{Path(frame.f_code.co_filename).name}:{line}"
    return at
