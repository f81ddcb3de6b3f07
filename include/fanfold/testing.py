"""Run a pipeline in this process, without Airflow: for tests, notebooks and ``fanfold try``.

It runs the engine's own stages in a folder, so outcomes, rows, rejected rows and folds are those of
a run. Nothing is published or loaded.

From records as the source sends them, without a request::

    result = testing.run(PIPELINE, records={"K042": [{"day": "2026-07-01", "rain": "n/a"}]})
    assert list(result.rejected["column"]) == ["rain"]
    assert result.outcomes.loc["K042", "status"] == "invalid"

From items with attributes, which are fetched or computed::

    result = testing.run(PIPELINE, [{"station": "K042", "country": "NO"}, "B107"])
    assert list(result.folds["rain_by_month"]["rain"]) == [31.5, 12.0]
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import pandas as pd
import pyarrow.parquet as pq

from fanfold import readers
from fanfold.errors import BadConfiguration, BatchIncomplete
from fanfold.loader import Loaded
from fanfold.model import Manifest, Outcome, RunIdentity, Status, utc_text
from fanfold.sources import Api, Compute
from fanfold.sources.endpoint import Endpoint
from fanfold.sources.version import source_version
from fanfold.stages import consolidating, planning, processing, reporting
from fanfold.stages.fetching import fetch_batch
from fanfold.workspace.base import LEDGER, STATE, Base, BaseRef, write_base_ref
from fanfold.workspace.files import read_jsonl
from fanfold.workspace.paths import REJECTED, Workspace

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fanfold.pipeline import Pipeline
    from fanfold.workspace.batch import Batch

_CONCURRENCY = 8
_MAX_OUTAGE = 15.0
"""Seconds for which a source may be unavailable; shorter than in a run, to report it soon."""
_OUTCOME = ("status", "reason", "attempts")
_REJECTED = ("item", "row", "column", "value", "rule")


@dataclass(frozen=True)
class Result:
    """What a run produced.

    Attributes:
        rows: The dataset.
        outcomes: ``status``, ``reason`` and ``attempts`` of each item; the index is its key.
        rejected: ``item``, ``row``, ``column``, ``value`` and ``rule`` of each rejected row.
        folds: The folds by name.
        manifest: The manifest.
        report: The report's HTML.
        records: The records of each item that was found.
        base: In mode ``merge``, what the next run continues from: bytes of state and ledger.
    """

    rows: pd.DataFrame
    outcomes: pd.DataFrame
    rejected: pd.DataFrame
    folds: dict[str, pd.DataFrame]
    manifest: Manifest
    report: str
    records: dict[str, list[Any]]
    base: dict[str, bytes] = field(default_factory=dict, repr=False)


def run(  # noqa: PLR0913 - all that a run depends on
    pipeline: Pipeline,
    items: Iterable[str | dict[str, Any]] = (),
    *,
    records: Mapping[str, Sequence[Any]] | None = None,
    endpoint: Endpoint | None = None,
    as_of: datetime | None = None,
    charts: bool = True,
    after: Result | None = None,
) -> Result:
    """Run a whole pipeline over some items.

    Args:
        pipeline: The pipeline.
        items: Keys, or objects with the key as ``item_column`` and attributes.
        records: Records by key, instead of fetching. The items are its keys, or ``items`` if given:
            those without records are ``missing``.
        endpoint: The API. Default: the connection in ``AIRFLOW_CONN_<ID>``.
        as_of: Logical date. Default: now.
        charts: Whether to check the charts and write the report; without, it is empty.
        after: In mode ``merge``, the run before, into whose dataset this one is merged.

    Raises:
        BadInput: An item is invalid.
        BadPipeline: The pipeline is invalid.
        BadConfiguration: The connection is missing or wrong.
        CredentialRefused, QuotaSpent, SourceBusy: The source does not answer.
    """
    date = as_of or datetime.now(UTC)
    with tempfile.TemporaryDirectory(prefix="fanfold-") as folder:
        workspace = Workspace(Path(folder) / "run")
        listed = list(items) or list(records or ())
        readers.write_items(
            workspace, readers.from_list(listed, pipeline.item_column), pipeline.check_item
        )
        plan = planning.write_plan(
            workspace,
            pipeline,
            wanted_size=None,
            logical_date=utc_text(date),
            started_at=utc_text(datetime.now(UTC)),
        )
        batches = [workspace.batch(number) for number in range(plan.batches)]
        if records is not None:
            _write_records(batches, pipeline, records)
        else:
            _fetch(batches, pipeline, endpoint, date, Path(folder))
        base = _base(workspace, after) if after else None
        return _result(workspace, batches, pipeline, date, charts=charts, base=base)


def _base(workspace: Workspace, after: Result) -> Base:
    """Write what a run left for the next one; return it."""
    manifest = after.manifest
    ref = BaseRef(manifest.generation, manifest.run_id, manifest.rows_version)
    write_base_ref(workspace, ref)
    folder = workspace.root / "base"
    folder.mkdir()
    for name, content in after.base.items():
        (folder / name).write_bytes(content)
    digest = hashlib.sha256(manifest.document()).hexdigest()
    paths = [folder / name if name in after.base else None for name in (STATE, LEDGER)]
    return Base(manifest, digest, *paths)


def _write_records(
    batches: Iterable[Batch], pipeline: Pipeline, records: Mapping[str, Sequence[Any]]
) -> None:
    # Through JSON, as records of a fetch are.
    plain = {
        pipeline.check_item(key): json.loads(json.dumps(list(records[key]))) for key in records
    }
    for batch in batches:
        part = [
            (Outcome(key, Status.OK if key in plain else Status.MISSING), plain.get(key))
            for key in batch.keys()  # noqa: SIM118 - reads a file
        ]
        batch.write_part(1, part, source_version(pipeline.source))


def _fetch(
    batches: Iterable[Batch],
    pipeline: Pipeline,
    endpoint: Endpoint | None,
    as_of: datetime,
    folder: Path,
) -> None:
    # Imports of the one source: those of the other take 0.1 s of `fanfold try`.
    source = pipeline.source
    with contextlib.ExitStack() as stack:
        if isinstance(source, Compute):
            from fanfold.stages.fetching.processes import ProcessRunner

            start: Any = partial(ProcessRunner, source, as_of=as_of)
        elif isinstance(source, Api):
            from fanfold.rate_limit import open_rate_limiter
            from fanfold.sources.session import ApiSession
            from fanfold.stages.fetching.backoff import Backoff
            from fanfold.stages.fetching.workers import WorkerPool

            target = endpoint or endpoint_of(source.connection or f"{pipeline.name}_default")
            limits = (target.requests_per_second, target.requests_per_hour)
            start = partial(
                WorkerPool,
                stack.enter_context(ApiSession(source, target, as_of=as_of)),
                stack.enter_context(
                    open_rate_limiter(folder / "limits", target.connection, *limits)
                ),
                concurrency=_CONCURRENCY,
                backoff=Backoff(max_outage=_MAX_OUTAGE),
            )
        else:
            raise NotImplementedError
        for batch in batches:
            # Failed items are outcomes of the result.
            with contextlib.suppress(BatchIncomplete):
                fetch_batch(batch, start, version=source_version(source))


def _result(
    workspace: Workspace,
    batches: Sequence[Batch],
    pipeline: Pipeline,
    as_of: datetime,
    *,
    charts: bool,
    base: Base | None,
) -> Result:
    loaded = Loaded(pipeline, "")
    manifest = consolidating.consolidate(
        workspace,
        RunIdentity(pipeline.name, "test", as_of),
        loaded,
        lambda batch: processing.process_batch(batch, loaded, as_of=as_of),
        schema=processing.arrow_schema(pipeline.contract),
        version=source_version(pipeline.source),
        base=base,
    )
    report = _report(workspace, pipeline, manifest) if charts else ""
    outcomes = {
        key: each
        for batch in batches
        for key, each in {**batch.outcomes(), **batch.failed()}.items()
    }
    rejected = read_jsonl(workspace.dataset / REJECTED)
    return Result(
        rows=_frame(workspace.table(pipeline.dataset)),
        outcomes=pd.DataFrame(
            [[str(each.status), each.reason, each.attempts] for each in outcomes.values()],
            index=pd.Index(list(outcomes), name="key"),
            columns=_OUTCOME,
        ),
        rejected=pd.DataFrame(list(rejected), columns=_REJECTED),
        folds={fold.name: _frame(workspace.table(fold.name)) for fold in pipeline.folds},
        manifest=manifest,
        report=report,
        records={
            outcome.key: found
            for batch in batches
            for part in batch.fetched(1000)
            for outcome, found in part
        },
        base={
            entry.format: (workspace.dataset / entry.key).read_bytes()
            for entry in manifest.files
            if entry.format in {STATE, LEDGER}
        },
    )


def _report(workspace: Workspace, pipeline: Pipeline, manifest: Manifest) -> str:
    tables = {name: workspace.table(name) for name in pipeline.tables}
    tables["dataset"] = workspace.table(pipeline.dataset)
    reporting.check_charts(pipeline, tables, workspace.spill)
    written = reporting.write_report(workspace, pipeline, manifest, forecast=None, messages={})
    return written.page.read_text("utf-8")


def _frame(path: Path) -> pd.DataFrame:
    with pq.ParquetFile(path) as file:
        frame: pd.DataFrame = file.read().to_pandas()
    return frame


def endpoint_of(connection_id: str) -> Endpoint:
    """Return the endpoint of an Airflow connection in ``AIRFLOW_CONN_<ID>``, as JSON or as a URI.

    Raises:
        BadConfiguration: The variable is not set, or its content is wrong.
    """
    name = f"AIRFLOW_CONN_{connection_id.upper()}"
    value = os.environ.get(name, "")
    if not value:
        raise BadConfiguration(
            f"{name} is not set. Set it to the connection of the API, for example "
            """'{"conn_type": "http", "host": "https://api.example.org", "password": "token"}'."""
        )
    try:
        fields = json.loads(value) if value.lstrip().startswith("{") else _from_uri(value)
        extra = fields.get("extra") or {}
        extra = json.loads(extra) if isinstance(extra, str) else extra
        port = int(fields["port"]) if fields.get("port") else None
    except (ValueError, AttributeError, TypeError):
        raise BadConfiguration(f"{name} is neither the JSON nor the URI of a connection.") from None
    return Endpoint.parse(
        connection_id,
        host=fields.get("host"),
        port=port,
        schema=fields.get("schema"),
        token=fields.get("password"),
        extra=extra,
    )


def _from_uri(value: str) -> dict[str, Any]:
    """Return the fields of a connection's URI. Source: Airflow, "Managing connections"."""
    parts = urlsplit(value)
    query = dict(pair.partition("=")[::2] for pair in parts.query.split("&") if pair)
    return {
        "host": unquote(parts.hostname or ""),
        "port": parts.port,
        "schema": unquote(parts.path.strip("/")) or parts.scheme,
        "password": unquote(parts.password or ""),
        "extra": {name: unquote(text) for name, text in query.items()},
    }
