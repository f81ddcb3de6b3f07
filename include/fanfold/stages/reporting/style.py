"""Sizes, colours and fonts of charts.

Colours are distinguishable with common colour vision deficiencies and have a contrast of at least
3:1 on white; the style sheet of the page has their counterparts for a dark background.
"""

from __future__ import annotations

import functools
import unicodedata
from typing import TYPE_CHECKING

from matplotlib import font_manager

WIDTH = 360.0
"""Width of every chart in points: actual size on a phone, enlarged on a wide page."""
TITLE_HEIGHT = 44.0
FOOT_HEIGHT = 20.0
LABEL_SIZE = 10.5
TICK_SIZE = 9.5
TITLE_SIZE = 12.0
FOOT_SIZE = 7.5
PIXELS_PER_INCH = 200  # PNG: 1000 pixels wide

INK = "#1f2933"
QUIET = "#52606d"
GRID = "#dde2e8"
GROUND = "#ffffff"
COLOURS = {
    "main": "#1f6fb2",
    "muted": "#7b8794",
    "ok": "#00805f",
    "missing": "#667481",
    "invalid": "#b26a00",
    "failed": "#b3123f",
}

if TYPE_CHECKING:
    from matplotlib.ft2font import FT2Font

_BUNDLED = "DejaVu Sans"  # bundled with matplotlib
# The first installed one draws Chinese names in a PNG.
_CHINESE = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "Source Han Sans SC",
    "Source Han Sans CN", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "PingFang SC",
    "Hiragino Sans GB", "Heiti SC", "Microsoft YaHei", "SimHei", "Arial Unicode MS",
)  # fmt: skip


@functools.cache
def families() -> tuple[str, ...]:
    """Return the fonts for a PNG: the bundled one, and a Chinese one if installed."""
    installed = {font.name for font in font_manager.fontManager.ttflist}
    return (_BUNDLED, *[name for name in _CHINESE if name in installed][:1])


def drawable(text: str) -> bool:
    """Return whether the fonts have a glyph for every character of a text."""
    return all(_has_glyph(char) for char in text)


@functools.cache
def _fonts() -> tuple[FT2Font, ...]:
    return tuple(font_manager.get_font(font_manager.findfont(name)) for name in families())


def _has_glyph(char: str) -> bool:
    # Right-to-left and joined scripts need shaping, which not every matplotlib build supports.
    if unicodedata.bidirectional(char) in {"R", "AL"} or unicodedata.category(char) == "Cf":
        return False
    return any(font.get_char_index(ord(char)) for font in _fonts())
