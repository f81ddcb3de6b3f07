"""Sanitize untrusted text (names, keys, reasons) for display: one visible line of limited length."""

from __future__ import annotations

import re
import unicodedata

_JOINERS = "\u200c\u200d"  # used by Persian words and emoji
_BLANKS = "\u115f\u1160\u2800\u3164\uffa0"  # letters and a symbol without a visible glyph
# Stacked combining marks would cover the lines above and below.
_MARK = r"[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]"
_PILE = re.compile(rf"({_MARK}{{2}}){_MARK}+")
_SPACES = {"Cc", "Zl", "Zp", "Zs"}


def plain(text: str, limit: int = 40) -> str:
    """Return text as one line without invisible characters; empty if nothing is visible.

    ``limit`` is the maximum width in columns; a CJK character takes two.
    """
    # Cut first, so that the cost is bounded.
    kept = "".join(_shown(char) for char in text[: 16 * limit])
    kept = _PILE.sub(r"\1", " ".join(kept.split()))
    if all(char in _JOINERS or unicodedata.category(char)[0] in "MZ" for char in kept):
        return ""
    return shortened(kept, limit, more=len(text) > 16 * limit)


def isolated(text: str) -> str:
    """Isolate right-to-left text, so that it does not reorder the sentence around it.

    Uses U+2068 (first strong isolate) and U+2069 of Unicode's bidirectional algorithm.
    """
    turns = any(unicodedata.bidirectional(char) in {"R", "AL", "AN"} for char in text)
    return f"\u2068{text}\u2069" if turns else text


def visible(text: str, limit: int = 80) -> str:
    r"""Return text with invisible characters as escapes (``\u200b``), shortened."""
    kept = "".join(
        char if char.isprintable() and char not in _BLANKS else _escape(char)
        for char in text[: 4 * limit]
    )
    return shortened(_PILE.sub(r"\1", kept), limit, more=len(text) > 4 * limit)


def shortened(text: str, limit: int, *, more: bool = False) -> str:
    """Truncate text to ``limit`` columns, with an ellipsis if anything was cut."""
    if not more and width(text) <= limit and len(text) <= 4 * limit:
        return text
    taken = 0.0
    for position, char in enumerate(text[: 4 * limit]):
        taken += width(char)
        if taken > limit - 1:
            return text[:position].rstrip() + "…"
    return text[: 4 * limit].rstrip() + "…"


def width(text: str) -> int:
    """Return the width of text in columns: two for a wide character, none for a mark."""
    return sum(
        0
        if unicodedata.category(char) in {"Mn", "Me", "Cf"}
        else 2
        if unicodedata.east_asian_width(char) in "WF"
        else 1
        for char in text
    )


def _shown(char: str) -> str:
    category = unicodedata.category(char)
    if category in _SPACES or char in _BLANKS:
        return " "
    noncharacter = ord(char) & 0xFFFE == 0xFFFE or 0xFDD0 <= ord(char) <= 0xFDEF
    hidden = category in {"Cf", "Cs", "Co"} and char not in _JOINERS
    return "" if hidden or noncharacter else char


def _escape(char: str) -> str:
    code = ord(char)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
