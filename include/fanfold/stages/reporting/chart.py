"""Charts as values: texts in both languages and bars, for the drawing and the table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from fanfold.stages.reporting.wording import full, percent

if TYPE_CHECKING:
    from fanfold.stages.reporting.wording import Text

Colour = Literal["main", "muted", "ok", "missing", "invalid", "failed"]


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar, and one row of the table.

    Attributes:
        span: For a histogram: its range on the axis in log10; None for the value 0.
        fallbacks: Alternative labels, if the fonts cannot draw the first.
        details: Table cells between label and value.
    """

    label: Text
    value: int
    colour: Colour = "main"
    span: tuple[float, float] | None = None
    fallbacks: tuple[Text, ...] = ()
    details: tuple[Text, ...] = ()


@dataclass(frozen=True, slots=True)
class Mark:
    """A vertical line in a histogram at a value of the axis; 0 is the bar of zeros."""

    at: float
    label: Text


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart.

    Attributes:
        name: Stem of the file names.
        kind: Horizontal bars, columns by year, or a histogram on a log scale.
        subject: Heading.
        finding: Title: what the chart shows, in one sentence.
        summary: More key figures; with the finding, the text alternative.
        axis: Label of the horizontal axis, if any.
        header: Header of the table: label, details, value, share.
        whole: Total that shares refer to; 0 for charts without shares.
    """

    name: str
    kind: Literal["bars", "columns", "histogram"]
    subject: Text
    finding: Text
    summary: Text
    axis: Text | None
    header: tuple[Text, ...]
    bars: tuple[Bar, ...]
    marks: tuple[Mark, ...] = ()
    whole: int = 0

    @property
    def rows(self) -> list[tuple[Text, ...]]:
        """Rows of the table."""
        return [
            (bar.label, *bar.details, full(bar.value))
            + ((percent(bar.value, self.whole),) if self.whole else ())
            for bar in self.bars
        ]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A chart without data, and the sentence that says why."""

    name: str
    why: Text
