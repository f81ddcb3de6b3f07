"""Texts in both languages, and the format of numbers, times and durations in each."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from fanfold import formats
from fanfold.messages import LANGUAGES, REPORT, Language


class Text(NamedTuple):
    """A text in English and in Simplified Chinese."""

    en: str
    zh: str

    def in_language(self, language: Language) -> str:
        """Return the text in one language."""
        return self.en if language == "en" else self.zh


def both(text: str | tuple[str, str]) -> Text:
    """Return a text of a pipeline: English, or English and Chinese."""
    return same(text) if isinstance(text, str) else Text(*text)


def same(text: str) -> Text:
    """Return a text that is the same in both languages: a name, an id, a year."""
    return Text(text, text)


def say(key: str, **values: Text | int) -> Text:
    """Return a text of the catalogue with its parameters; integers are formatted in full.

    Raises:
        KeyError: The catalogue has no such text, or a parameter is missing.
    """
    texts = {
        name: full(value) if isinstance(value, int) else value for name, value in values.items()
    }
    return Text(
        *(
            REPORT.text(key, each, {name: text.in_language(each) for name, text in texts.items()})
            for each in LANGUAGES
        )
    )


def full(number: int) -> Text:
    """Return a whole number with its thousands grouped."""
    return same(f"{number:,}")


def number(value: float) -> Text:
    """Return a number with three significant digits, or in full from 1,000 on."""
    if value == int(value) or abs(value) >= 1000:
        return full(round(value))
    return same(f"{value:.3g}" if abs(value) >= 0.0001 else f"{value:.1e}")


def short(value: float) -> Text:
    """Return a number with three significant digits: 12.3K and 1.2M, or 1.23万 and 1.2亿."""
    return Text(
        _scaled(value, ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K"))),
        _scaled(value, ((1e12, "万亿"), (1e8, "亿"), (1e4, "万"))),
    )


def _scaled(value: float, units: tuple[tuple[float, str], ...]) -> str:
    # A value that is rounded up to the next unit (999,999) is written in that unit.
    rounded = float(f"{value:.3g}")
    for size, unit in units:
        if abs(rounded) >= size:
            return f"{rounded / size:.12g}{unit}"
    return f"{rounded:.12g}" if abs(rounded) < 1000 else f"{rounded:,.0f}"


def percent(part: float, whole: float) -> Text:
    """Return a share in percent; never 0 % or 100 % for values that are only close."""
    if not whole:
        return same("–")
    return same(formats.percent(part / whole))


def day(moment: str) -> Text:
    """Return the date and time of an ISO 8601 text in UTC, to the minute."""
    parsed = _parsed(moment)
    return same(f"{parsed:%Y-%m-%d %H:%M} UTC") if parsed else same(moment or "–")


def duration(start: str, end: str) -> Text:
    """Return the duration between two ISO 8601 times."""
    first, last = _parsed(start), _parsed(end)
    return lasting((last - first).total_seconds()) if first and last else same("–")


def lasting(seconds: float) -> Text:
    """Return a duration in its two largest units."""
    return Text(*(formats.duration(seconds, each) for each in LANGUAGES))


def _parsed(moment: str) -> datetime | None:
    try:
        parsed = datetime.fromisoformat(moment)
    except ValueError:
        return None
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
