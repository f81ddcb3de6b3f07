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
    package = getattr(function, "__module__", "").partition(".")[0]
    code = getattr(function, "__code__", None)
    at = _place(code.co_filename, code.co_firstlineno) if code else type(function).__name__
    for frame, line in traceback.walk_tb(error.__traceback__):
        if frame.f_globals.get("__name__", "").partition(".")[0] == package:
            at = _place(frame.f_code.co_filename, line)
    text = " ".join(f"{type(error).__name__}: {error}".split())
    if len(text) > _MAX_TEXT:
        text = f"{text[:_MAX_TEXT]}…"
    return ENGINE.message("function.error", error=text, at=at)


def _place(file: str, line: int) -> str:
    return f"{Path(file).name}:{line}"
