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

    The author's code is the top-level package of ``function``; without one of its lines, the line
    that raised the exception is named.
    """
    while isinstance(function, partial):
        function = function.func
    package = getattr(function, "__module__", "").partition(".")[0]
    at = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        own = frame.f_globals.get("__name__", "").partition(".")[0] == package
        if own or not at:
            at = f"{Path(frame.f_code.co_filename).name}:{line}"
    text = " ".join(f"{type(error).__name__}: {error}".split())
    if len(text) > _MAX_TEXT:
        text = f"{text[:_MAX_TEXT]}…"
    return ENGINE.message("function.error", error=text, at=at)
