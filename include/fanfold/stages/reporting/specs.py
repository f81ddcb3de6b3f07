"""Vega-Lite specifications of an author: language, columns, and what every chart of a report has."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from fanfold.messages import LANGUAGES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fanfold.messages import Language
    from fanfold.stages.reporting.data import Rows

_FIELDS = {
    "field",
    "fields",
    "groupby",
    "fold",
    "flatten",
    "density",
    "quantile",
    "loess",
    "regression",
}
"""Properties that name columns. Source: the transforms and channels of Vega-Lite 6."""
_EXPRESSIONS = {"filter", "calculate", "test", "and", "or", "not"}
_DATUM = re.compile(r"""\bdatum(?:\.(\w+)|\[(['"])(.+?)\2\])""")
_DEFAULT_NAMES = ("key", "value", "density", "prob")
"""Columns of the transforms fold, density and quantile without ``as``."""
_DAYS: Mapping[Language, tuple[str, str, str]] = {
    "en": ("%b %-d", "%b %Y", "%Y"),
    "zh": ("%-m月%-d日", "%Y年%-m月", "%Y年"),
}
_TIMES = {
    language: {
        "hours": "%H:%M",
        "minutes": "%H:%M",
        "date": day,
        "week": day,
        "month": month,
        "quarter": month,
        "year": year,
    }
    for language, (day, month, year) in _DAYS.items()
}
"""Format of a time on an axis by the unit that it starts."""
_COMPOSITE = {"boxplot", "errorbar", "errorband"}
_FACETS = {"row", "column", "facet"}
_FADED = 0.12
"""Opacity of the marks that the legend does not select."""
_TARGET = {"fillOpacity": 0, "strokeOpacity": 0, "size": 300}
"""An invisible point of 20 pixels on each value of a line: a line is too thin to hover."""


class TableColumn(NamedTuple):
    """A column of a chart's table: its place in the rows, its title, and whether it is a share."""

    place: int
    title: str
    is_share: bool


def localised(spec: Any, language: Language) -> Any:
    """Return a copy of a specification in one language: that text of each tuple of two texts."""
    if isinstance(spec, Mapping):
        return {name: localised(value, language) for name, value in spec.items()}
    if isinstance(spec, tuple) and len(spec) == 2 and all(isinstance(each, str) for each in spec):
        return spec[LANGUAGES.index(language)]
    if isinstance(spec, list | tuple):
        return [localised(each, language) for each in spec]
    return spec


def completed(spec: dict[str, Any], dates: Iterable[str], language: Language) -> dict[str, Any]:
    """Add page width, formats of times, hover targets and a legend that filters, unless the author did.

    Args:
        spec: A specification in one language; it is changed.
        dates: Columns with dates, which JavaScript would read as midnight in UTC.
        language: The language of the specification.
    """
    if ("mark" in spec or "layer" in spec) and not _FACETS & set(spec.get("encoding", {})):
        spec.setdefault("width", "container")
    if not any("params" in each for each in _objects(spec)):
        _add_legend_filter(spec)
    for each in _objects(spec):
        _show_as_written(each)
        _add_hover_targets(each)
        for channel in ("x", "y"):
            found = each.get(channel)
            if not isinstance(found, dict) or "timeUnit" in found:
                continue
            if found.get("type") == "temporal" and found.get("axis", {}) is not None:
                found["axis"] = {"format": _TIMES[language], **found.get("axis", {})}
    temporal = {
        each.get("field")
        for each in _objects(spec)
        if each.get("type") == "temporal" or "timeUnit" in each
    }
    parse = {name: "date:'%Y-%m-%d'" for name in dates if name in temporal}
    if parse and "data" not in spec:
        spec["data"] = {"format": {"parse": parse}}
    return spec


def _add_hover_targets(part: dict[str, Any]) -> None:
    mark = part.get("mark")
    mark = {"type": mark} if isinstance(mark, str) else mark
    if (
        isinstance(mark, dict)
        and mark.get("type") in {"line", "area"}
        and mark.get("tooltip", True)
    ):
        # Without a tooltip of its own, a layer without the legend's selection takes no events.
        target = {**_TARGET, "tooltip": mark.get("tooltip", True)}
        part["mark"] = {"point": target, **mark}


def _show_as_written(part: dict[str, Any]) -> None:
    """Remove a scale in UTC: times have no offset, and it would move them by the browser's time zone."""
    if part.get("type") == "utc":
        part["type"] = "time"
    for name in ("timeUnit", "unit"):
        if str(part.get(name)).startswith("utc"):
            part[name] = part[name].removeprefix("utc")


def unknown_columns(spec: Mapping[str, Any], columns: Iterable[str]) -> list[str]:
    """Return the columns that a specification names but that neither query nor transform makes.

    None of a specification that has data of its own, or whose transforms make columns by themselves.
    """
    known = {*columns, *_DEFAULT_NAMES}
    for each in _objects(spec):
        if "pivot" in each or "lookup" in each or "values" in (each.get("data") or ()):
            return []
        made = each.get("as", ())
        known.update([made] if isinstance(made, str) else made)
    return [name for name in dict.fromkeys(_references(spec)) if name not in known]


def has_quantity(spec: Mapping[str, Any], rows: Rows) -> bool:
    """Return whether there are rows and, of the columns drawn as quantities, one has a value."""
    drawn = {each.get("field") for each in _objects(spec) if each.get("type") == "quantitative"}
    places = [place for place, name in enumerate(rows.columns) if name in drawn]
    if not places:
        return bool(rows.rows)
    return any(row[place] is not None for row in rows.rows for place in places)


def table_columns(
    specs: Mapping[Language, Mapping[str, Any]], columns: Sequence[str]
) -> dict[Language, list[TableColumn]]:
    """Return the columns of the table beside a chart by language.

    A column has the title that its specification gives to it. Those that only the specification in
    the other language names are left out.
    """
    named = {language: set(_references(spec)) for language, spec in specs.items()}
    return {
        language: [
            TableColumn(place, *_heading(spec, name))
            for place, name in enumerate(columns)
            if name in named[language] or name not in set().union(*named.values())
        ]
        for language, spec in specs.items()
    }


def _heading(spec: Mapping[str, Any], column: str) -> tuple[str, bool]:
    title, is_share = column, False
    for each in _objects(spec):
        if "aggregate" in each or each.get("field") != column:
            continue
        guides = [each, *(each.get(guide) for guide in ("axis", "legend", "header"))]
        for guide in guides:
            if isinstance(guide, Mapping):
                found = guide.get("title")
                title = found if title == column and isinstance(found, str) and found else title
                is_share |= str(guide.get("format", "")).endswith("%")
    return title, is_share


def _add_legend_filter(spec: dict[str, Any]) -> None:
    coloured = [
        (unit, colour) for unit, encoding in _units(spec, {}) if (colour := _colour(encoding))
    ]
    for place, (unit, colour) in enumerate(coloured):
        if colour != coloured[0][1]:
            continue
        if place == 0:
            select = {"type": "point", "fields": [colour]}
            unit["params"] = [{"name": "legend", "select": select, "bind": "legend"}]
        mark = unit["mark"] if isinstance(unit["mark"], dict) else {"type": unit["mark"]}
        usual = 0.7 if mark.get("type") in {"point", "circle", "square", "tick"} else 1
        condition = {"param": "legend", "value": mark.get("opacity", usual)}
        opacity = {"condition": condition, "value": _FADED}
        unit.setdefault("encoding", {}).setdefault("opacity", opacity)


def _units(
    spec: dict[str, Any], inherited: Mapping[str, Any]
) -> Iterator[tuple[dict[str, Any], Mapping[str, Any]]]:
    """Yield the specifications with a mark and their encodings; none of repeated or joined ones."""
    encoding = {**inherited, **spec.get("encoding", {})}
    if isinstance(spec.get("layer"), list):
        for layer in spec["layer"]:
            yield from _units(layer, encoding)
    elif "facet" in spec and isinstance(spec.get("spec"), dict):
        yield from _units(spec["spec"], encoding)
    elif "mark" in spec:
        mark = spec["mark"]
        if (mark.get("type") if isinstance(mark, dict) else mark) not in _COMPOSITE:
            yield spec, encoding


def _colour(encoding: Mapping[str, Any]) -> str | None:
    """Return the column that a legend of categories shows."""
    for channel in ("color", "fill", "stroke"):
        found = encoding.get(channel)
        if not isinstance(found, Mapping) or not isinstance(found.get("field"), str):
            continue
        is_category = found.get("type") in {None, "nominal", "ordinal"}
        if is_category and found.get("legend", True) and not {"bin", "aggregate"} & set(found):
            return str(found["field"])
    return None


def _references(spec: Any, key: str = "") -> Iterator[str]:
    if isinstance(spec, Mapping):
        for name, value in spec.items():
            if name not in {"data", "from"}:
                yield from _references(value, name)
    elif isinstance(spec, list):
        for each in spec:
            yield from _references(each, key)
    elif isinstance(spec, str):
        if key in _FIELDS:
            yield _base(spec)
        elif key in _EXPRESSIONS:
            yield from (_base(found[1] or found[3]) for found in _DATUM.finditer(spec))


def _objects(spec: Any) -> Iterator[dict[str, Any]]:
    if isinstance(spec, dict):
        yield spec
        for name, value in spec.items():
            if name != "values":
                yield from _objects(value)
    elif isinstance(spec, list):
        for each in spec:
            yield from _objects(each)


def _base(name: str) -> str:
    """Return the column of a path such as ``point.x`` or ``sizes[0]``."""
    return re.split(r"(?<!\\)[.\[]", name)[0].replace("\\", "")
