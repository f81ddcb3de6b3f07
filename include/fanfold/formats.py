"""Numbers and texts for people: the same rounding and units in logs, terminal and report.

The run page does the same in ``static/format.js``, with the same units.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from fanfold.messages import UNITS

if TYPE_CHECKING:
    from collections.abc import Callable

    from fanfold.messages import Language

_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
_STEPS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
_COARSE = ((60, 5), (600, 30), (3600, 60), (math.inf, 600))
_SIZES = ("B", "kB", "MB", "GB", "TB")
_KILO = 1000
_PRECISE_S = 10


def duration(seconds: float, language: Language = "en") -> str:
    """Return seconds in the two largest units: "0.4 s", "53 s", "2 min 5 s", "1 h 5 min"."""
    if round(seconds, 1) < _PRECISE_S:
        return UNITS.text("s", language, {"n": f"{max(seconds, 0):.1f}".removesuffix(".0")})
    rest = round(seconds)
    parts: list[str] = []
    for size, unit in _STEPS:
        number, rest = divmod(rest, size)
        if number or parts:
            parts.append(UNITS.text(unit, language, {"n": number}) if number else "")
    return " ".join(filter(None, parts[:2]))


def duration_range(low: float, high: float) -> str:
    """Return a range of seconds, coarse as an estimate is: "<5 s", "25 s – 40 s", "1 min – 2 min 30 s"."""
    first, last = _coarse(low, math.floor), _coarse(high, math.ceil)
    if not first:
        return f"<{duration(last)}"
    return duration(first) if first == last else f"{duration(first)} – {duration(last)}"


def _coarse(seconds: float, rounded: Callable[[float], int]) -> int:
    step = next(step for most, step in _COARSE if seconds <= most)
    return rounded(seconds / step) * step


def percent(share: float) -> str:
    """Return a share (0 to 1) in percent with one decimal; never 0% or 100% for what is only close."""
    if 0 < share < 0.001:
        return "<0.1%"
    if 0.999 < share < 1:
        return ">99.9%"
    return f"{share:.0%}" if share in {0, 1} else f"{share:.1%}"


def markdown(text: str) -> str:
    """Return a paragraph of Markdown in which nothing of a text is markup, a link or a picture."""
    return _PUNCTUATION.sub(r"\\\1", " ".join(text.split()))


def size(number: int) -> str:
    """Return a number of bytes in the unit with one to three digits: "12 B", "3.4 kB", "200.1 MB"."""
    step = 0
    value = float(number)
    while round(value, 1) >= _KILO and step < len(_SIZES) - 1:
        value, step = value / _KILO, step + 1
    return f"{value:.1f} {_SIZES[step]}" if step else f"{number} B"
