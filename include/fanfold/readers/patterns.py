"""Patterns of file URIs: wildcards, and dates within a window.

``*`` and ``?`` match any characters and one character of a path segment, ``[…]`` one of some (``[!…]``
none of them), ``**`` any characters and ``**/`` any number of folders. ``{date}`` is a date as
YYYY-MM-DD, ``{date:%Y/%m/%d}`` one in a form of its own. A pattern that ends in ``/`` matches all files
below this folder.
"""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from fanfold.errors import BadInput

if TYPE_CHECKING:
    from datetime import datetime

_SPECIAL = re.compile(
    r"\{date(?::(?P<form>[^{}]*))?\}|(?P<wild>(?<=/)\*\*/|\*\*|\*|\?|\[!?\]?[^\]/]*\])"
)
_ROOT = re.compile(r"s3://[^/]+/|file:///")
_DIGITS = {"Y": 4, "m": 2, "d": 2}
"""Directives of ``strftime`` that a date has, and the number of their digits."""
_WILDCARDS = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


@dataclass(frozen=True, slots=True)
class Window:
    """Dates from ``first`` (None: from the beginning) to ``last``, both included."""

    first: date | None
    last: date

    def includes(self, day: str) -> bool:
        """Return whether it includes a date (YYYY-MM-DD)."""
        return day <= str(self.last) and (self.first is None or day >= str(self.first))

    def __str__(self) -> str:
        return f"{self.first} to {self.last}" if self.first else f"until {self.last}"


def window_of(logical_date: datetime, lag_days: int, *, mode: str, listed: date | None) -> Window:
    """Return the dates of the files of a run; ``lag_days`` before its first one are included.

    A snapshot begins at its logical date, a merge at the last date that was ``listed`` for the published
    dataset; None if there is none, or all files are read again. All dates are in UTC.
    """
    last = logical_date.date()
    if mode == "merge" and listed is None:
        return Window(None, last)
    begin = last if listed is None or mode == "snapshot" else min(last, listed)
    return Window(date.fromordinal(max(1, begin.toordinal() - lag_days)), last)


class Pattern:
    """A pattern of URIs.

    Raises:
        BadInput: It has a wildcard in the name of the bucket, no whole date in ``{date:…}``, or a field
            in braces that is no date.
    """

    def __init__(self, text: str) -> None:
        self._parts: list[tuple[str, str]] = []  # kind (text, date, wild) and content
        whole = f"{text}**" if text.endswith("/") else text
        end = 0
        for found in _SPECIAL.finditer(whole):
            self._parts.append(("text", whole[end : found.start()]))
            wild, form = found["wild"], found["form"]
            self._parts.append(("wild", wild) if wild else ("date", form or "%Y-%m-%d"))
            end = found.end()
        self._parts.append(("text", whole[end:]))
        if not _ROOT.match(self._parts[0][1]):
            raise BadInput(
                f"The pattern {text!r} must begin with s3://bucket/ or file:///, without wildcards in "
                "the name of the bucket. Correct it and trigger a new run."
            )
        if unknown := re.search(r"{(?!date[:}])[^{}]*}", whole):
            raise BadInput(
                f"The pattern {text!r} has {unknown[0]}; the only field is {{date}}, in a form of its own "
                "{date:%Y/%m/%d}. Correct it and trigger a new run; ? matches a brace."
            )
        forms = "".join(form for kind, form in self._parts if kind == "date")
        self.has_date = bool(forms)
        if forms and set(re.findall("%(.?)", forms)) != _DIGITS.keys():
            raise BadInput(
                f"The pattern {text!r} needs a date with year (%Y), month (%m) and day (%d); wildcards "
                "match other parts of a time. Correct it and trigger a new run."
            )
        seen: set[str] = set()
        self._regex = re.compile("".join(_regex(*part, seen) for part in self._parts), re.DOTALL)

    @staticmethod
    def is_pattern(text: str) -> bool:
        """Return whether a text is a pattern or a folder, not the URI of one file."""
        return text.endswith("/") or _SPECIAL.search(text) is not None

    def prefix(self, day: date | None = None) -> str:
        """Return what comes before the first wildcard, or date if there is no ``day``."""
        texts: list[str] = []
        for kind, content in self._parts:
            if kind == "wild" or (kind == "date" and day is None):
                break
            texts.append(f"{day:{content}}" if kind == "date" else content)
        return "".join(texts)

    def prefixes(self, window: Window) -> list[str]:
        """Return the prefixes to list, sorted: then all files are sorted, too.

        With a date, and a window that has a beginning, there is one for each day.
        """
        if not self.has_date or window.first is None:
            return [self.prefix()]
        days = range((window.last - window.first).days + 1)
        return sorted({self.prefix(window.first + timedelta(each)) for each in days})

    def match(self, uri: str) -> str | None:
        """Return the date in a URI, "" if the pattern has none, or None if the URI does not match."""
        found = self._regex.fullmatch(uri)
        if found is None:
            return None
        if not self.has_date:
            return ""
        try:
            return date.fromisoformat("-".join(found.group(*_DIGITS))).isoformat()
        except ValueError:  # such as 2026-02-30
            return None


def _regex(kind: str, content: str, seen: set[str]) -> str:
    """Return the regular expression of a part; ``seen`` are the directives before it."""
    if kind == "text":
        return re.escape(content)
    if kind == "wild":
        # fnmatch knows how to read a class; it makes "(?s:[a-z])\Z" of it.
        return _WILDCARDS.get(content) or f"(?!/){fnmatch.translate(content)[4:-3]}"

    def group(found: re.Match[str]) -> str:
        name = found[1]
        if name in seen:
            return f"(?P={name})"
        seen.add(name)
        return f"(?P<{name}>[0-9]{{{_DIGITS[name]}}})"

    return re.sub("%(.)", group, re.escape(content))
