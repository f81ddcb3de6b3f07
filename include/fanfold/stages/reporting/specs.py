"""Vega-Lite specifications of an author: language, columns, and what every chart of a report has."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from fanfold.messages import LANGUAGES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fanfold.messages import Language

_PAIRS = {"title", "subtitle", "text", "labelExpr"}
"""Properties that may be a pair (English, Chinese)."""
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
_DEFAULT_NAMES = {
    "fold": ("key", "value"),
    "density": ("value", "density"),
    "quantile": ("prob", "value"),
}
_COMPOSITE = {"boxplot", "errorbar", "errorband"}
_FACETS = {"row", "column", "facet"}
_FADED = 0.12
"""Opacity of the marks that the legend does not select."""


def localised(spec: Any, language: Language, key: str = "") -> Any:
    """Return a copy of a specification with its pairs of texts in one language."""
    if isinstance(spec, Mapping):
        return {name: localised(value, language, name) for name, value in spec.items()}
    if isinstance(spec, list | tuple):
        if key in _PAIRS and len(spec) == 2 and all(isinstance(each, str) for each in spec):
            return spec[LANGUAGES.index(language)]
        return [localised(each, language) for each in spec]
    return spec


def completed(spec: dict[str, Any], dates: Iterable[str]) -> dict[str, Any]:
    """Add the width of the page and a legend that filters, unless the author chose otherwise.

    Args:
        spec: A specification in one language; it is changed.
        dates: Columns with dates, which JavaScript would read as midnight in UTC.
    """
    if ("mark" in spec or "layer" in spec) and not _FACETS & set(spec.get("encoding", {})):
        spec.setdefault("width", "container")
    if not any("params" in each for each in _objects(spec)):
        _add_legend_filter(spec)
    temporal = {
        each.get("field")
        for each in _objects(spec)
        if each.get("type") == "temporal" or "timeUnit" in each
    }
    parse = {name: "date:'%Y-%m-%d'" for name in dates if name in temporal}
    if parse and "data" not in spec:
        spec["data"] = {"format": {"parse": parse}}
    return spec


def unknown_columns(spec: Mapping[str, Any], columns: Iterable[str]) -> list[str]:
    """Return the columns that a specification names but that neither query nor transform makes."""
    if any("pivot" in each for each in _objects(spec)):  # it makes columns from values
        return []
    known = set(columns)
    for each in _objects(spec):
        known.update(_names(each.get("as")))
        for transform, names in _DEFAULT_NAMES.items():
            known.update(names if transform in each else ())
        if isinstance(each.get("from"), Mapping):
            known.update(_names(each["from"].get("fields")))
        values = each.get("values")
        for row in values if isinstance(values, list | tuple) else ():
            known.update(row if isinstance(row, Mapping) else ())
    named = dict.fromkeys(_base(name) for name in _references(spec))
    return [name for name in named if name not in known]


def headings(spec: Mapping[str, Any]) -> dict[str, str]:
    """Return the title that a specification gives to a column."""
    found: dict[str, str] = {}
    for each in _objects(spec):
        guides = (each.get(guide) for guide in ("axis", "legend", "header"))
        titles = [each.get("title"), *(g.get("title") for g in guides if isinstance(g, Mapping))]
        title = next((title for title in titles if isinstance(title, str) and title), None)
        name = each.get("field")
        if title and isinstance(name, str) and "aggregate" not in each:
            found.setdefault(_base(name), title)
    return found


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
    elif isinstance(spec, list | tuple):
        for each in spec:
            yield from _references(each, key)
    elif isinstance(spec, str):
        if key in _FIELDS:
            yield spec
        elif key in _EXPRESSIONS:
            yield from (found[1] or found[3] for found in _DATUM.finditer(spec))


def _objects(spec: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(spec, Mapping):
        yield spec
        for name, value in spec.items():
            if name != "values":
                yield from _objects(value)
    elif isinstance(spec, list | tuple):
        for each in spec:
            yield from _objects(each)


def _names(value: Any) -> list[str]:
    found = value if isinstance(value, list | tuple) else [value]
    return [name for name in found if isinstance(name, str)]


def _base(name: str) -> str:
    """Return the column of a path such as ``point.x`` or ``sizes[0]``."""
    return re.split(r"(?<!\\)[.\[]", name)[0].replace("\\", "")
