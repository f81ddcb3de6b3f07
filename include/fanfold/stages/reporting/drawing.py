"""Draw a chart on a canvas."""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from fanfold.stages.reporting import style
from fanfold.stages.reporting.canvas import Canvas, extent
from fanfold.stages.reporting.histogram import Histogram
from fanfold.stages.reporting.plot import Plot
from fanfold.stages.reporting.sanitising import shortened, width
from fanfold.stages.reporting.wording import percent, short

if TYPE_CHECKING:
    from collections.abc import Callable

    from fanfold.messages import Language
    from fanfold.stages.reporting.chart import Bar, Chart

_ROW = 19.0  # points between bars
_THICK = 13.0
_EDGE = 8.0
_LABEL_COLUMNS = 20
_FEWEST_COLUMNS = 6  # keeps the column of a single year narrow


class _Layout(Protocol):
    @property
    def height(self) -> float: ...

    def draw(self, canvas: Canvas) -> None: ...


def draw(chart: Chart, language: Language) -> Canvas:
    """Return a chart, with room of fixed height (:mod:`style`) for a title and a line at the foot."""
    layouts: dict[str, Callable[[Chart, Language], _Layout]] = {
        "bars": _Bars,
        "columns": _Columns,
        "histogram": Histogram,
    }
    layout = layouts[chart.kind](chart, language)
    canvas = Canvas(style.TITLE_HEIGHT + layout.height + style.FOOT_HEIGHT)
    layout.draw(canvas)
    return canvas


def draw_frame(canvas: Canvas, title: str, foot: str) -> None:
    """Draw the title and the line at the foot."""
    size = style.TITLE_SIZE
    lines = _wrapped(title, columns=round((style.WIDTH - 2 * _EDGE) / (0.67 * size)))
    for row, line in enumerate(lines):
        baseline = 18 + (row + (2 - len(lines)) / 2) * size * 1.3
        canvas.text(line, _EDGE, baseline, size=size, bold=True)
    canvas.text(foot, _EDGE, canvas.height - 7, size=style.FOOT_SIZE, colour=style.QUIET)


def _wrapped(text: str, columns: int) -> list[str]:
    """Wrap text to at most two lines; Chinese may break anywhere."""
    if width(text) <= columns:
        return [text]
    if width(text) > 1.3 * len(text):
        middle = next(i for i in range(len(text), 0, -1) if width(text[:i]) <= columns)
        return [text[:middle], shortened(text[middle:], columns)]
    lines = textwrap.wrap(text, columns)
    return [lines[0], shortened(" ".join(lines[1:]), columns)]


@dataclass(frozen=True, slots=True)
class _Bars:
    """Horizontal bars between their labels and values."""

    chart: Chart
    language: Language

    @property
    def height(self) -> float:
        """Height below the title, in points."""
        return len(self.chart.bars) * _ROW + 8

    def draw(self, canvas: Canvas) -> None:
        """Draw the bars."""
        size = style.LABEL_SIZE
        bars = self.chart.bars
        labels = [shortened(bar.label.in_language(self.language), _LABEL_COLUMNS) for bar in bars]
        shown = [self._value_of(bar) for bar in bars]
        left = _EDGE + extent(labels, size) + 6
        # Leave room for the value behind the longest bar.
        room = max(style.WIDTH - left - _EDGE - extent(shown, size) - 4, 40)
        longest = max(bar.value for bar in bars) or 1
        top = style.TITLE_HEIGHT + 4
        for row, (bar, label, value) in enumerate(zip(bars, labels, shown, strict=True)):
            middle = top + (row + 0.5) * _ROW
            # Small counts stay visible.
            length = max(bar.value / longest * room, 1.0 if bar.value else 0.0)
            canvas.bar(left, middle - _THICK / 2, length, _THICK, style.COLOURS[bar.colour])
            baseline = middle + 0.36 * size
            canvas.text(label, left - 6, baseline, size=size, align="right")
            canvas.text(value, left + length + 4, baseline, size=size, colour=style.QUIET)
        canvas.line((left, top), (left, top + len(bars) * _ROW), style.QUIET)

    def _value_of(self, bar: Bar) -> str:
        if not self.chart.whole:
            return short(bar.value).in_language(self.language)
        share = percent(bar.value, self.chart.whole).in_language(self.language)
        return f"{bar.value:,} · {share}"


class _Columns:
    """Columns with their values on top, if there is room."""

    def __init__(self, chart: Chart, language: Language) -> None:
        span = (0, max(len(chart.bars), _FEWEST_COLUMNS))
        self._plot = Plot(chart, language, span)
        self._language = language
        self.height = self._plot.height

    def draw(self, canvas: Canvas) -> None:
        """Draw the columns."""
        plot = self._plot
        plot.draw(canvas)
        bars = plot.chart.bars
        slot = plot.x(1) - plot.x(0)
        names = [bar.label.in_language(self._language) for bar in bars]
        step = max(1, math.ceil((extent(names, style.TICK_SIZE) + 6) / slot))
        values = [short(bar.value).in_language(self._language) for bar in bars]
        size = style.TICK_SIZE - 1.5
        most = max(bar.value for bar in bars)
        last = len(bars) - 1
        all_fit = extent(values, size) <= slot
        for position, (bar, value) in enumerate(zip(bars, values, strict=True)):
            plot.column(canvas, position + 0.12, position + 0.88, bar)
            if bar.value and (all_fit or bar.value == most or position == last):
                x, above = plot.x(position + 0.5), plot.y(bar.value) - 3
                canvas.text(value, x, above, size=size, align="center")
            # The newest column always has a label.
            if (last - position) % step == 0:
                plot.tick(canvas, position + 0.5, names[position])
