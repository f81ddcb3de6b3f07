"""The report page: tiles, charts and failures in both languages, in one self-contained file.

Jinja escapes every value, and rows are JSON in an element that is not run. The
Content-Security-Policy in the page's head allows its style sheet and script by their digests, and no
requests.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jinja2
from markupsafe import Markup

from fanfold.messages import LANGUAGES
from fanfold.model import Status
from fanfold.stages.reporting.charts import VENDOR
from fanfold.stages.reporting.data import MAX_ROWS, json_value
from fanfold.stages.reporting.sanitising import isolated, plain, visible
from fanfold.stages.reporting.specs import table_columns
from fanfold.stages.reporting.theme import FOLDER, asset
from fanfold.stages.reporting.wording import (
    Text,
    both,
    day,
    duration,
    full,
    same,
    say,
    short,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fanfold.messages import Catalogue
    from fanfold.model import Manifest
    from fanfold.pipeline import Pipeline
    from fanfold.stages.reporting.charts import Drawing
    from fanfold.workspace.failure_groups import Group

_HTML_LANGUAGES = {"en": "en", "zh": "zh-Hans"}
_COLUMNS_SHOWN = 20
_LIBRARIES = ("vega", "vega-lite", "vega-interpreter")


@dataclass(frozen=True, slots=True)
class Tile:
    """A key figure with its label; ``kind`` is a CSS class: an outcome, or empty."""

    label: Text
    value: Text
    note: Text | None = None
    kind: str = ""


@dataclass(frozen=True, slots=True)
class FailureRow:
    """A row of the tables of failures and of rejected rows."""

    kind: str
    outcome: Text
    reason: Text
    count: Text
    attempts: Text
    examples: tuple[tuple[str, str | None], ...]


def page_of(  # noqa: PLR0913 - what a page shows
    manifest: Manifest,
    pipeline: Pipeline,
    catalogue: Catalogue,
    *,
    charts: Sequence[Drawing],
    failures: Sequence[Group],
    rejected: Sequence[Group],
) -> str:
    """Return the page as HTML; the same arguments give the same text.

    ``catalogue`` has the texts of the reasons.
    """
    style, script = asset("page.css"), _script()
    counts = manifest.counts
    return _template().render(
        policy=(
            f"default-src 'none'; style-src {_digest(style)}; script-src {_digest(script)}; "
            "img-src data:; base-uri 'none'; form-action 'none'"
        ),
        style=Markup(style),  # noqa: S704 - a file of this package
        script=Markup(script),  # noqa: S704 - files of this package
        licences=Markup(_licences()),  # noqa: S704 - files of this package
        data=_data(manifest, charts),
        languages=[(language, _HTML_LANGUAGES[language]) for language in LANGUAGES],
        say=say,
        same=same,
        title=say("title", dag=same(plain(manifest.dag_id, 120))),
        status=str(manifest.status),
        noun=both(pipeline.noun),
        items=_item_tiles(manifest),
        tables=_table_tiles(manifest, pipeline),
        run=_run_tiles(manifest),
        charts=charts,
        max_rows=full(MAX_ROWS),
        intro=say("failures.intro", n=counts.planned - counts.ok, planned=counts.planned),
        failures=[_failure(group, catalogue) for group in failures],
        rejected_intro=say("rejected.intro", n=manifest.rejected),
        rejected=[_failure(group, catalogue) for group in rejected],
    )


def _item_tiles(manifest: Manifest) -> list[Tile]:
    counts = {kind: getattr(manifest.counts, kind) for kind in Status}
    return [
        Tile(say("planned"), full(manifest.counts.planned)),
        *(
            Tile(say(kind), full(count), say(f"{kind}.means"), kind if count else "")
            for kind, count in counts.items()
        ),
    ]


def _table_tiles(manifest: Manifest, pipeline: Pipeline) -> list[Tile]:
    rows = {entry.table: entry.rows for entry in manifest.files if entry.table}
    return [
        Tile(say("rows"), full(manifest.rows), say("rows.means")),
        *_merge_tiles(manifest),
        *(
            [Tile(say("same"), full(manifest.same), say("same.means", n=manifest.differing))]
            if manifest.same
            else []
        ),
        Tile(
            say("rejected"),
            full(manifest.rejected),
            say("rejected.means"),
            "invalid" if manifest.rejected else "",
        ),
        *(
            Tile(same(fold.name), full(rows[fold.name]), say("fold.means"))
            for fold in pipeline.folds
            if fold.name in rows
        ),
    ]


def _merge_tiles(manifest: Manifest) -> list[Tile]:
    if not manifest.generation:
        return []
    numbers = {name: getattr(manifest, name) for name in ("superseded", "deleted", "pending")}
    return [
        Tile(say("run_rows"), full(manifest.run_rows), say("run_rows.means")),
        *(
            Tile(
                say(name),
                full(number),
                say(f"{name}.means"),
                "failed" if name == "pending" else "",
            )
            for name, number in numbers.items()
            if number
        ),
    ]


def _dropped_columns(manifest: Manifest) -> list[Tile]:
    columns = manifest.most_dropped(_COLUMNS_SHOWN)
    if not columns:
        return []
    listed = same(", ".join(f"{isolated(visible(name))} ({files:,})" for name, files in columns))
    if more := len(manifest.dropped_columns) - len(columns):
        listed = say("dropped.more", columns=listed, n=more)
    return [Tile(say("dropped"), listed, say("dropped.files"))]


def _run_tiles(manifest: Manifest) -> list[Tile]:
    return [
        Tile(say("run_id"), same(visible(manifest.run_id, 160))),
        Tile(say("logical_date"), day(manifest.logical_date)),
        *(
            [Tile(say("places"), same(visible(", ".join(manifest.places), 300)))]
            if manifest.places
            else []
        ),
        Tile(say("started"), day(manifest.started_at)),
        Tile(say("finished"), day(manifest.finished_at)),
        Tile(say("duration"), duration(manifest.started_at, manifest.finished_at)),
        Tile(say("requests"), full(manifest.requests)),
        *(
            [Tile(say("billed"), say("gb_seconds", n=short(manifest.gb_seconds)))]
            if manifest.gb_seconds
            else []
        ),
        *_dropped_columns(manifest),
    ]


def _failure(group: Group, catalogue: Catalogue) -> FailureRow:
    if group.column is not None:
        rules = (catalogue.rule(group.rule or "", language) for language in LANGUAGES)
        rule = Text(*(visible(each, 300) for each in rules))
        # Without a column, the rule is an exception of the transform.
        column = same(visible(group.column))
        reason = say("failures.rule", column=column, rule=rule) if group.column else rule
    elif group.reason:
        reasons = (catalogue.translate(group.message, language) for language in LANGUAGES)
        reason = Text(*(visible(each, 300) for each in reasons))
    else:
        reason = say("failures.rest")
    return FailureRow(
        kind=str(group.status),
        outcome=say(group.status),
        reason=reason,
        count=full(group.count),
        attempts=same(f"{group.attempts / group.count:.1f}".removesuffix(".0")),
        examples=tuple(
            (visible(key, 48), None if value is None else visible(value, 48))
            for key, value in group.examples
        ),
    )


def _data(manifest: Manifest, charts: Sequence[Drawing]) -> Markup:
    """Return the charts and their rows as JSON without a character that HTML could read as markup."""
    name = f"{manifest.dag_id}-{manifest.logical_date[:10]}"
    prefix = re.sub(r"[^\w.-]+", "-", name)
    data = {
        "config": json.loads(asset("config.json")),
        "broken": say("charts.broken")._asdict(),
        "charts": [_chart(chart, prefix) for chart in charts if chart.rows.rows],
    }
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    safe = re.sub("[<>&\u2028\u2029]", lambda found: f"\\u{ord(found[0]):04x}", text)
    return Markup(safe)  # noqa: S704 - escaped above


def _chart(chart: Drawing, prefix: str) -> dict[str, Any]:
    kinds = chart.rows.kinds
    return {
        "slug": chart.slug,
        "file": f"{prefix}-{chart.slug}",
        "title": chart.title._asdict(),
        "finding": (chart.finding or same(""))._asdict(),
        "specs": chart.specs,
        "columns": chart.rows.columns,
        "table": {
            language: [
                (each.place, plain(each.title, 60), "share" if each.is_share else kinds[each.place])
                for each in columns
            ]
            for language, columns in table_columns(chart.specs, chart.rows.columns).items()
        },
        "rows": [[json_value(value) for value in row] for row in chart.rows.rows],
        "values": {name: json_value(value) for name, value in chart.values.items()},
    }


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2")


@functools.cache
def _script() -> str:
    """Return Vega, Vega-Lite, the interpreter and the page's script as one script.

    The interpreter is published as a module only: its import and export become assignments.
    """
    vega, vega_lite, interpreter = (
        re.sub(r"(?m)^//# sourceMappingURL=.*$", "", (VENDOR / f"{name}.js").read_text("utf-8"))
        for name in _LIBRARIES
    )
    interpreter = re.sub(r"import (\{.*?\}) from 'vega-util';", r"const \1 = vega;", interpreter)
    interpreter = re.sub(r"export \{ (\w+) as \w+ \};", r"return \1;", interpreter)
    interpreter = f"const interpreter = (() => {{\n{interpreter}\n}})();"
    return "\n".join([vega, vega_lite, interpreter, asset("page.js")])


@functools.cache
def _licences() -> str:
    return "\n".join(
        f"{name}:\n{(VENDOR / f'{name}.LICENSE').read_text('utf-8')}" for name in _LIBRARIES
    )


def _digest(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"
