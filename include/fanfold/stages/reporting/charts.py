"""The charts of a pipeline: rows, finding and specification of each, and the checks of an author."""

from __future__ import annotations

import functools
import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fanfold.errors import BadPipeline
from fanfold.messages import LANGUAGES
from fanfold.stages.reporting.data import Rows, query, sentence
from fanfold.stages.reporting.specs import completed, has_quantity, localised, unknown_columns
from fanfold.stages.reporting.wording import Text, both
from fanfold.workspace.sql import open_tables

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from duckdb import DuckDBPyConnection
    from jsonschema import Draft7Validator, ValidationError

    from fanfold.messages import Language
    from fanfold.pipeline import Chart, Pipeline

VENDOR = Path(__file__).parent / "vendor"
_KINDS = {
    "layer": "TopLevelLayerSpec",
    "facet": "TopLevelFacetSpec",
    "repeat": "TopLevelRepeatSpec",
    "concat": "TopLevelConcatSpec",
    "hconcat": "TopLevelHConcatSpec",
    "vconcat": "TopLevelVConcatSpec",
}
"""Definition in the schema of Vega-Lite by the property that tells it; without one, it is a unit."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """A chart with the rows of a run.

    Attributes:
        slug: Its place and title as a file name: ``chart-1-revenue-by-day``.
        finding: None if the chart has none, or no rows.
        rows: Without rows if there is nothing to draw.
        values: The row of the data source ``values`` if the specification draws it.
        specs: Its Vega-Lite specification by language, without values.
    """

    slug: str
    title: Text
    finding: Text | None
    rows: Rows
    values: Mapping[str, Any]
    specs: Mapping[Language, dict[str, Any]]


def charts_of(pipeline: Pipeline, tables: Mapping[str, Path], spill: Path) -> list[Drawing]:
    """Run the queries of a pipeline's charts.

    Args:
        pipeline: The pipeline.
        tables: Parquet files by their name in SQL: ``dataset``, the dataset's own name, the folds.
        spill: Folder for temporary files.

    Raises:
        BadPipeline: A query is wrong, a specification or a finding names an unknown column.
    """
    with open_tables(tables, spill) as connection:
        return [
            _draw(connection, chart, place, pipeline.name)
            for place, chart in enumerate(pipeline.charts, 1)
        ]


def check_charts(pipeline: Pipeline, tables: Mapping[str, Path], spill: Path) -> None:
    """Run the queries of all charts and compare their specifications with Vega-Lite's schema.

    The arguments are those of :func:`charts_of`; the tables may be empty.

    Raises:
        BadPipeline: As of :func:`charts_of`, or a specification is not Vega-Lite 6.
    """
    for chart, drawing in zip(pipeline.charts, charts_of(pipeline, tables, spill), strict=True):
        for language in LANGUAGES:
            problem = _schema_error(drawing.specs[language])
            if problem:
                raise BadPipeline(f"{_called(chart, pipeline.name)}: {problem}")


def _draw(connection: DuckDBPyConnection, chart: Chart, place: int, pipeline: str) -> Drawing:
    what = _called(chart, pipeline)
    rows = query(connection, chart.sql, what)
    values = query(connection, chart.values, f"{what}, values") if chart.values else rows
    finding = sentence(chart.finding, values.first, what) if chart.finding else None
    specs = {language: localised(chart.spec, language) for language in LANGUAGES}
    text = _as_json(specs, what)
    if '"url":' in text:
        raise BadPipeline(f"{what}: its spec has a URL, but a report loads nothing; use sql.")
    draws_values = '{"name": "values"}' in text
    columns = dict.fromkeys([*rows.columns, *(values.columns if draws_values else ())])
    unknown = dict.fromkeys(
        name for each in specs.values() for name in unknown_columns(each, columns)
    )
    if unknown:
        raise BadPipeline(
            f"{what}: its spec names {', '.join(map(repr, unknown))}, which is no column of its "
            f"query; columns: {', '.join(columns)}."
        )
    dates = [name for name, kind in zip(rows.columns, rows.kinds, strict=True) if kind == "date"]
    title = both(chart.title)
    slug = re.sub(r"[^a-z0-9]+", "-", title.en.lower()).strip("-")[:60]
    shown = rows if has_quantity(specs["en"], rows) else replace(rows, rows=[])
    return Drawing(
        slug=f"chart-{place}-{slug}".rstrip("-"),
        title=title,
        finding=finding if shown.rows else None,
        rows=shown,
        values=values.first if draws_values else {},
        specs={language: completed(spec, dates, language) for language, spec in specs.items()},
    )


def _called(chart: Chart, pipeline: str) -> str:
    return f"Chart {both(chart.title).en!r} of pipeline {pipeline!r}"


def _as_json(spec: Any, what: str) -> str:
    try:
        return json.dumps(spec, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise BadPipeline(f"{what}: its spec is not JSON: {error}.") from error


def _schema_error(spec: Mapping[str, Any]) -> str | None:
    kind = next((kind for key, kind in _KINDS.items() if key in spec), "TopLevelUnitSpec")
    values = {"data": {**spec.get("data", {}), "values": []}}
    errors = [
        leaf
        for error in _validator(kind).iter_errors({**spec, **values})
        for leaf in _leaves(error)
    ]
    if not errors:
        return None
    # Of the alternatives that a value may be, the author meant the one that fits deepest.
    order = ("additionalProperties", "enum", "required", "const")
    best = max(
        errors,
        key=lambda error: (
            len(error.absolute_path),
            -order.index(error.validator) if error.validator in order else -len(order),
        ),
    )
    place = best.json_path.removeprefix("$").lstrip(".")
    message = best.message if len(best.message) < 400 else f"{best.message[:400]}…"
    return f"its spec is not Vega-Lite 6: {place or 'at its top'}: {message}."


def _leaves(error: ValidationError) -> Iterator[ValidationError]:
    if not error.context:
        yield error
    for cause in error.context or ():
        yield from _leaves(cause)


@functools.cache
def _validator(kind: str) -> Draft7Validator:
    # Imported by checks alone.
    from jsonschema import Draft7Validator

    schema = json.loads((VENDOR / "vega-lite.schema.json").read_text("utf-8"))
    return Draft7Validator({**schema, "$ref": f"#/definitions/{kind}"})
