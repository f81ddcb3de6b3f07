"""A histogram on a log scale, with a separate bar for zeros and lines at the quartiles."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fanfold.stages.reporting import style
from fanfold.stages.reporting.canvas import extent
from fanfold.stages.reporting.plot import Plot
from fanfold.stages.reporting.wording import short

if TYPE_CHECKING:
    from fanfold.messages import Language
    from fanfold.stages.reporting.canvas import Canvas
    from fanfold.stages.reporting.chart import Chart, Mark

_ROW = 13.0  # points between the labels of the quartiles
_ZERO_WIDTH = 1 / 3  # decades
_ZERO_GAP = 0.3
_MOST_TICKS = 8


@dataclass(frozen=True, slots=True)
class _Line:
    """A quartile and the position of its label.

    Outer labels extend outwards in the lowest row, or inwards in the top row if there is no room,
    so that no label crosses another line.
    """

    mark: Mark
    at: float
    is_median: bool
    leftwards: bool
    row: int


@dataclass(slots=True)
class Histogram:
    """The layout of a histogram."""

    chart: Chart
    language: Language
    _plot: Plot = field(init=False)
    _zero: float = field(init=False)
    _lines: list[_Line] = field(init=False)

    def __post_init__(self) -> None:
        start, end = self._ends
        has_zeros = any(bar.span is None for bar in self.chart.bars)
        self._zero = start - _ZERO_GAP - _ZERO_WIDTH / 2
        left = self._zero - _ZERO_WIDTH / 2 if has_zeros else start
        self._plot = Plot(self.chart, self.language, (left, end))
        self._lines = [
            self._placed(mark, position)
            for mark, position in zip(self.chart.marks, (-1, 0, 1), strict=True)
        ]
        self._plot.above = 10 + _ROW * (1 + max(line.row for line in self._lines))

    @property
    def height(self) -> float:
        """Height below the title, in points."""
        return self._plot.height

    @property
    def _ends(self) -> tuple[float, float]:
        """Ends of the log axis, in decades."""
        spans = [bar.span for bar in self.chart.bars if bar.span]
        return (spans[0][0], spans[-1][1]) if spans else (0.0, 1.0)

    def _placed(self, mark: Mark, position: int) -> _Line:
        """Place the lower quartile (-1), the median (0) or the upper quartile (1)."""
        start, end = self._ends
        at = min(max(math.log10(mark.at), start), end) if mark.at > 0 else self._zero
        needed = 6 + 1.1 * extent([mark.label.in_language(self.language)], style.TICK_SIZE)
        x = self._plot.x(at)
        outwards = x - needed >= 0 if position < 0 else x + needed <= style.WIDTH
        row = 1 if position == 0 else 0 if outwards else 2
        return _Line(mark, at, position == 0, outwards == (position < 0), row)

    def draw(self, canvas: Canvas) -> None:
        """Draw grid, bars, ticks and quartiles."""
        plot = self._plot
        plot.draw(canvas)
        gap = (plot.span[1] - plot.span[0]) * 0.003
        zero = (self._zero - _ZERO_WIDTH / 2, self._zero + _ZERO_WIDTH / 2)
        for bar in self.chart.bars:
            low, high = bar.span or zero
            plot.column(canvas, low + gap, high - gap, bar)
        self._draw_ticks(canvas)
        for line in self._lines:
            self._draw_line(canvas, line)

    def _draw_ticks(self, canvas: Canvas) -> None:
        if any(bar.span is None for bar in self.chart.bars):
            self._plot.tick(canvas, self._zero, "0")
        if any(bar.span for bar in self.chart.bars):
            start, end = self._ends
            decades = range(round(start), round(end) + 1)
            for decade in decades[:: math.ceil(len(decades) / _MOST_TICKS)]:
                label = short(10.0**decade).in_language(self.language)
                self._plot.tick(canvas, decade, label)

    def _draw_line(self, canvas: Canvas, line: _Line) -> None:
        x = self._plot.x(line.at)
        baseline = self._plot.top - 5 - _ROW * line.row
        canvas.line(
            (x, self._plot.bottom),
            (x, baseline - 8),
            style.INK,
            thickness=1.4 if line.is_median else 0.9,
            dashed=not line.is_median,
        )
        canvas.text(
            line.mark.label.in_language(self.language),
            x - 4 if line.leftwards else x + 4,
            baseline,
            size=style.TICK_SIZE,
            align="right" if line.leftwards else "left",
            bold=line.is_median,
        )
