"""The report page: tiles, charts, tables and failures in both languages, in one self-contained file.

Jinja escapes every value. The Content-Security-Policy in its head allows its style sheet and script
by their digests, and no requests.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2
from markupsafe import Markup

from fanfold.messages import LANGUAGES
from fanfold.stages.reporting.sanitising import plain, visible
from fanfold.stages.reporting.wording import (
    Text,
    day,
    duration,
    full,
    lasting,
    number,
    percent,
    same,
    say,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fanfold.messages import Catalogue
    from fanfold.model import Forecast, Manifest
    from fanfold.stages.reporting.aggregates import Aggregates
    from fanfold.stages.reporting.chart import LeftOut
    from fanfold.stages.reporting.rendering import Rendered
    from fanfold.workspace.failure_groups import Group

_FOLDER = Path(__file__).parent / "page"
_HTML_LANGUAGES = {"en": "en", "zh": "zh-Hans"}


@dataclass(frozen=True, slots=True)
class Tile:
    """A key figure with its label; ``kind`` is a CSS class: an outcome, or empty."""

    label: Text
    value: Text
    note: Text | None = None
    kind: str = ""


@dataclass(frozen=True, slots=True)
class FailureRow:
    """A row of the table of failures."""

    kind: str
    outcome: Text
    reason: Text
    count: Text
    attempts: Text
    examples: tuple[tuple[str, str | None], ...]


def page_of(  # noqa: PLR0913 - what a page shows
    manifest: Manifest,
    catalogue: Catalogue,
    *,
    data: Aggregates,
    charts: Sequence[Rendered],
    left_out: Sequence[LeftOut],
    failures: Sequence[Group],
    forecast: Forecast | None,
) -> str:
    """Return the page as HTML; the same arguments give the same text.

    ``catalogue`` has the texts of the reasons; the forecast is shown beside the actual values.
    """
    style, script = _asset("page.css"), _asset("page.js")
    counts = manifest.counts
    missing = counts.planned - counts.ok
    return _template().render(
        policy=(
            f"default-src 'none'; style-src {_digest(style)}; script-src {_digest(script)}; "
            "img-src data:; base-uri 'none'; form-action 'none'"
        ),
        style=Markup(style),  # noqa: S704 - a file of this package
        script=Markup(script),  # noqa: S704 - a file of this package
        languages=[(language, _HTML_LANGUAGES[language]) for language in LANGUAGES],
        say=say,
        title=say("title", dag=same(plain(manifest.dag_id, 120))),
        status=str(manifest.status),
        items=_item_tiles(manifest),
        rows=_row_tiles(data),
        run=_run_tiles(manifest, forecast),
        charts=charts,
        inline={
            (chart.chart.name, language): Markup(chart.inline.in_language(language))  # noqa: S704 - escaped by ElementTree
            for chart in charts
            for language in LANGUAGES
        },
        left_out=left_out,
        intro=say("failures.intro", n=missing, planned=counts.planned),
        failures=[_failure(group, catalogue) for group in failures],
    )


def _item_tiles(manifest: Manifest) -> list[Tile]:
    counts = manifest.counts
    by_outcome = {
        "ok": counts.ok,
        "missing": counts.missing,
        "invalid": counts.invalid,
        "failed": counts.failed,
    }
    return [
        Tile(say("planned"), full(counts.planned)),
        *(
            Tile(say(kind), full(count), say(f"{kind}.means"), kind if count else "")
            for kind, count in by_outcome.items()
        ),
    ]


def _row_tiles(data: Aggregates) -> list[Tile]:
    tiles = [Tile(say("rows"), full(data.rows))]
    if data.followers.quartiles:
        tiles.append(Tile(say("median_followers"), number(data.followers.quartiles[1])))
    if any(data.verified_types):
        tiles.append(Tile(say("verified_accounts"), percent(data.verified, data.rows)))
    return tiles


def _run_tiles(manifest: Manifest, forecast: Forecast | None) -> list[Tile]:
    expected = forecast.seconds if forecast else None
    return [
        Tile(say("run_id"), same(visible(manifest.run_id, 160))),
        Tile(say("logical_date"), day(manifest.logical_date)),
        Tile(say("started"), day(manifest.started_at)),
        Tile(say("finished"), day(manifest.finished_at)),
        Tile(say("duration"), duration(manifest.started_at, manifest.finished_at)),
        *(
            [Tile(say("forecast"), lasting(expected), say(f"forecast.{forecast.basis.name}"))]
            if forecast and expected is not None
            else []
        ),
        Tile(
            say("requests"),
            full(manifest.requests),
            say("forecast.requests", n=forecast.requests) if forecast else None,
        ),
    ]


def _failure(group: Group, catalogue: Catalogue) -> FailureRow:
    if group.column is not None:
        rules = (catalogue.rule(group.rule or "", language) for language in LANGUAGES)
        reason = say(
            "failures.rule",
            column=same(visible(group.column)),
            rule=Text(*(visible(rule, 200) for rule in rules)),
        )
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
        attempts=same(f"{group.attempts / group.count:.3g}"),
        examples=tuple(
            (visible(key, 48), None if value is None else visible(value, 48))
            for key, value in group.examples
        ),
    )


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2")


@functools.cache
def _asset(name: str) -> str:
    return (_FOLDER / name).read_text("utf-8").strip()


def _digest(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"
