"""Write a chart as a PNG in English and an SVG in each language."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fanfold.messages import LANGUAGES
from fanfold.stages.reporting import style
from fanfold.stages.reporting.drawing import draw
from fanfold.stages.reporting.svg import to_svg
from fanfold.stages.reporting.wording import Text, same
from fanfold.workspace.files import whole_file

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

    from fanfold.stages.reporting.chart import Bar, Chart

_SYMBOLS = {"So", "Sk", "Mn", "Cf"}  # emoji, skin tones, variation selectors, joiners
_SUFFIXES = {"png": ".png", "en": ".svg", "zh": ".zh.svg"}


@dataclass(frozen=True, slots=True)
class Rendered:
    """A drawn chart: its SVG elements for the page, and its files."""

    chart: Chart
    inline: Text
    files: tuple[Path, ...]


def paths_of(folder: Path, name: str) -> dict[str, Path]:
    """Return the paths of a chart's files: ``png``, and one SVG per language."""
    return {key: folder / f"chart-{name}{suffix}" for key, suffix in _SUFFIXES.items()}


def render(chart: Chart, folder: Path, *, foot: Text) -> Rendered:
    """Write the files of a chart; ``foot`` is a line of text under it."""
    paths = paths_of(folder, chart.name)
    inline: dict[str, str] = {}
    with style.settings():
        for language in LANGUAGES:
            figure = draw(chart, language, foot=foot.in_language(language))
            svg = to_svg(figure, title=chart.subject.in_language(language))
            inline[language] = svg.inline
            with whole_file(paths[language]) as temporary:
                temporary.write_text(svg.document, "utf-8", newline="\n")
            if language == "en":
                _write_png(chart, figure, paths["png"], foot)
    return Rendered(chart, Text(**inline), tuple(paths.values()))


def _write_png(chart: Chart, figure: Figure, path: Path, foot: Text) -> None:
    fitting = _drawable(chart)
    line = foot.en if style.drawable(foot.en) else ""
    if fitting != chart or line != foot.en:
        figure = draw(fitting, "en", foot=line)
    with whole_file(path) as temporary:
        figure.savefig(
            temporary,
            format="png",
            dpi=style.PIXELS_PER_INCH,
            metadata={"Software": None},
            # Half the time of the default level for little more size.
            pil_kwargs={"compress_level": 3},
        )


def _drawable(chart: Chart) -> Chart:
    """Return the chart with labels that the installed fonts can draw."""
    bars = tuple(replace(bar, label=_label(bar)) for bar in chart.bars)
    finding = chart.finding
    for before, after in zip(chart.bars, bars, strict=True):
        if not style.drawable(finding.en):
            finding = Text(finding.en.replace(before.label.en, after.label.en), finding.zh)
    return replace(chart, bars=bars, finding=finding)


def _label(bar: Bar) -> Text:
    for label in (bar.label, *bar.fallbacks):
        text = without_undrawable_symbols(label.en)
        if text and style.drawable(text):
            return same(text)
    return bar.label


def without_undrawable_symbols(text: str) -> str:
    """Remove emoji and accents that the installed fonts cannot draw."""
    kept = "".join(
        char for char in text if style.drawable(char) or unicodedata.category(char) not in _SYMBOLS
    )
    return kept.strip() if any(char.isalnum() for char in kept) else ""
