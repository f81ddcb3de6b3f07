"""Sanitises external text (names, keys, reasons) for display: one line, visible, of bounded width."""

from __future__ import annotations

import re
import unicodedata

_JOINERS = "\u200c\u200d"  # shape Persian words and join emoji
_BLANKS = "\u115f\u1160\u2800\u3164\uffa0"  # letters and a symbol without a glyph
# More combining marks on a letter than any language needs would cover adjacent lines.
_MARK = r"[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]"
_PILE = re.compile(rf"({_MARK}{{2}}){_MARK}+")
_SPACES = {"Cc", "Zl", "Zp", "Zs"}


def plain(text: str, limit: int = 40) -> str:
    """Return a name as one line without control, format and other invisible characters.

    Args:
        text: The external text.
        limit: Maximum width in columns; a CJK character takes two.

    Returns:
        The name; empty if nothing of it is visible.
    """
    # Truncated first, so that a name of megabytes costs no more than a long one.
    kept = "".join(_shown(char) for char in text[: 16 * limit])
    kept = _PILE.sub(r"\1", " ".join(kept.split()))
    if all(char in _JOINERS or unicodedata.category(char)[0] in "MZ" for char in kept):
        return ""
    return shortened(kept, limit, more=len(text) > 16 * limit)


def isolated(text: str) -> str:
    """Return a name that does not change the direction of the sentence around it.

    Only a name with right-to-left characters gets isolating marks (Unicode's bidirectional
    algorithm: first strong isolate, pop directional isolate).
    """
    turns = any(unicodedata.bidirectional(char) in {"R", "AL", "AN"} for char in text)
    return f"\u2068{text}\u2069" if turns else text


def visible(text: str, limit: int = 80) -> str:
    r"""Return a key or value with its invisible characters as escapes (``\u200b``), shortened.

    Such a character may be why the key failed.
    """
    kept = "".join(
        char if char.isprintable() and char not in _BLANKS else _escape(char)
        for char in text[: 4 * limit]
    )
    return shortened(_PILE.sub(r"\1", kept), limit, more=len(text) > 4 * limit)


def shortened(text: str, limit: int, *, more: bool = False) -> str:
    """Return a text truncated to ``limit`` columns, with an ellipsis if it is truncated."""
    if not more and width(text) <= limit and len(text) <= 4 * limit:
        return text
    taken = 0.0
    for position, char in enumerate(text[: 4 * limit]):
        taken += width(char)
        if taken > limit - 1:
            return text[:position].rstrip() + "…"
    return text[: 4 * limit].rstrip() + "…"


def width(text: str) -> int:
    """Return the width of a text in columns: two for a wide character, none for a mark."""
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
