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

From files, by path or URI; all files that this process may read are allowed::

    result = testing.run(PIPELINE, ["tests/orders-2026-07-01.csv", "s3://bucket/orders-2026-07-02.csv.gz"])
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import secrets
import tempfile
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import pandas as pd

from fanfold import readers
from fanfold.errors import BadConfiguration, BatchIncomplete
from fanfold.loader import Loaded
from fanfold.model import Manifest, Outcome, RunIdentity, Status, utc_text
from fanfold.readers.since import with_since
from fanfold.sources import Api, Compute, Files, Function
from fanfold.sources.endpoint import Endpoint, function_endpoint
from fanfold.sources.version import source_version
from fanfold.stages import consolidating, planning, processing, reporting
from fanfold.stages.fetching import fetch_batch
from fanfold.workspace.base import LEDGER, STATE, Base, BaseRef, write_base_ref
from fanfold.workspace.files import read_jsonl
from fanfold.workspace.paths import REJECTED, Workspace
from fanfold.workspace.same import SAME, noted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from fanfold.pipeline import Pipeline
    from fanfold.storage.locations import Locations
    from fanfold.workspace.batch import Batch, Done

_CONCURRENCY = 8
_ONE_BATCH = 100
"""Items that are one batch; a DAG would give each of a few a task of its own, at the cost of a process."""
_SHOWN_FILES = 3
"""Files whose first records are in the result."""
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
        records: The records of each item that was found; of the first three files, a frame of the first
            records.
        base: In mode ``merge``, what the next run continues from: bytes of state and ledger.
    """

    rows: pd.DataFrame
    outcomes: pd.DataFrame
    rejected: pd.DataFrame
    folds: dict[str, pd.DataFrame]
    manifest: Manifest
    report: str
    records: dict[str, Any]
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
        items: Keys, or objects with the key as ``item_column`` and attributes. Default: what the API of
            the pipeline lists. For ``Files``, URIs or
            paths; their sizes and ETags are read, unless they are given.
        records: Records by key, instead of fetching. The items are its keys, or ``items`` if given:
            those without records are ``missing``.
        endpoint: The API, or the functions. Default: the connection in ``AIRFLOW_CONN_<ID>``.
        as_of: Logical date. Default: now.
        charts: Whether to check the charts and write the report; without, it is empty.
        after: In mode ``merge``, the run before, into whose dataset this one is merged.

    Raises:
        BadInput: An item is invalid.
        BadPipeline: The pipeline is invalid.
        BadConfiguration: The connection is missing or wrong.
        CredentialRefused, QuotaSpent, SourceBusy: The source does not answer.
    """
    moment = as_of or datetime.now(UTC)
    with tempfile.TemporaryDirectory(prefix="fanfold-") as folder:
        workspace = Workspace(Path(folder) / "run")
        items = list(items) or list(records or ())
        located = readers.from_list(items, pipeline.item_column)
        if records is None and isinstance(pipeline.source, Files):
            located = _found_files(pipeline.source, located)
        elif records is None and not items:
            located = readers.from_list(
                _listed_items(pipeline, endpoint, moment), pipeline.item_column
            )
        base = _base(workspace, after) if after else None
        if pipeline.cursor:
            located = with_since(located, pipeline, base.state if base else None, moment)
        count, _ = readers.write_items(workspace, located, pipeline.check_item)
        plan = planning.write_plan(
            workspace,
            pipeline,
            wanted_size=_ONE_BATCH if count <= _ONE_BATCH else None,
            logical_date=utc_text(moment),
            started_at=utc_text(datetime.now(UTC)),
        )
        batches = [workspace.batch(number) for number in range(plan.batches)]
        read = pipeline
        if records is None:
            _fetch(batches, pipeline, endpoint, moment, Path(folder))
        else:
            _write_records(batches, pipeline, records)
            if isinstance(pipeline.source, Files):  # they are written as JSONL files
                source = replace(pipeline.source, format="jsonl", compression="none")
                read = replace(pipeline, source=source)
        return _result(workspace, batches, pipeline, read, moment, charts=charts, base=base)


def _listed_items(pipeline: Pipeline, endpoint: Endpoint | None, as_of: datetime) -> Sequence[Any]:
    from fanfold.rate_limit import Unlimited
    from fanfold.sources.session import ApiSession
    from fanfold.stages.fetching.listing import list_items

    source = pipeline.source
    if not isinstance(source, Api) or source.listing is None:
        return ()
    target = endpoint or endpoint_of(source.connection or f"{pipeline.name}_default")
    with ApiSession(source, target, as_of=as_of) as session:
        return list_items(session, Unlimited())


def _base(workspace: Workspace, after: Result) -> Base:
    """Write what a run left for the next one; return it."""
    manifest = after.manifest
    write_base_ref(workspace, BaseRef(manifest.generation))
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
        part: list[Done] = [
            (Outcome(key, Status.OK if key in plain else Status.MISSING), plain.get(key))
            for key in batch.keys()  # noqa: SIM118 - reads a file
        ]
        blob = None
        if isinstance(pipeline.source, Files):
            part, blob = _as_files(batch, part)
        batch.write_part(1, part, source_version(pipeline.source), blob)


def _as_files(batch: Batch, part: list[Done]) -> tuple[list[Done], Path]:
    """Return a part whose items are JSONL files with the records, and the file with their bytes."""
    blob = batch.new_blob()
    placed: list[Done] = []
    with blob.open("wb") as file:
        for outcome, records in part:
            offset = file.tell()
            file.writelines(json.dumps(record).encode() + b"\n" for record in records or ())
            place = {"offset": offset, "bytes": file.tell() - offset, "etag": "", "modified": ""}
            placed.append((outcome, None if records is None else [place]))
    return placed, blob


def _found_files(source: Files, items: Iterable[readers.Located]) -> Iterator[readers.Located]:
    """Yield files, sorted by URI, with size, ETag and time of those that exist."""
    from fanfold.readers.objects import FileCounts, find_files
    from fanfold.readers.patterns import Window

    def uri(key: str) -> str:
        return key if "://" in key else f"file://{Path(key).resolve()}"

    # With attributes, an item is no pattern.
    files = ((kind, number, uri(str(key)), given or {}) for kind, number, key, given in items)
    with _locations(source) as locations:
        window = Window(None, date.max)
        yield from find_files(files, locations, window, ledger=(), counts=FileCounts())


def _locations(source: Files) -> Locations:
    """Return all files; objects by the connection in ``AIRFLOW_CONN_<ID>``, or as boto3 finds them."""
    from fanfold.storage.locations import CLIENT, Locations

    def client() -> Any:
        import boto3
        from botocore.config import Config

        fields = _connection(source.connection)
        extra = fields.get("extra", {})
        return boto3.client(
            "s3",
            endpoint_url=extra.get("endpoint_url"),
            region_name=extra.get("region_name"),
            aws_access_key_id=fields.get("login"),
            aws_secret_access_key=fields.get("password"),
            config=Config(**extra.get("config_kwargs", {})).merge(Config(**CLIENT)),
        )

    return Locations(("file:///", "s3://"), client)


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
        elif isinstance(source, Files):
            from fanfold.stages.fetching.downloads import Downloads

            files = stack.enter_context(_locations(source))
        else:
            from fanfold.rate_limit import open_rate_limiter
            from fanfold.sources.functions.session import open_session
            from fanfold.stages.fetching.backoff import Backoff
            from fanfold.stages.fetching.workers import WorkerPool

            connection_id = source.connection or f"{pipeline.name}_default"
            is_function = isinstance(source, Function)
            target = endpoint or endpoint_of(connection_id, functions=is_function)
            limits = (target.requests_per_second, target.requests_per_hour)
            # Each call of `run` is a run of its own.
            session = open_session(
                source,
                target,
                partial(_lambda_client, target),
                as_of=as_of,
                run=secrets.token_hex(),
            )
            start = partial(
                WorkerPool,
                stack.enter_context(session),
                stack.enter_context(open_rate_limiter(folder / "limits", target.scope, *limits)),
                concurrency=_CONCURRENCY,
                backoff=Backoff(max_outage=_MAX_OUTAGE),
            )
        for batch in batches:
            # Failed items are outcomes of the result.
            if isinstance(source, Files):
                start = partial(Downloads, files, source.max_bytes, batch)
            with contextlib.suppress(BatchIncomplete):
                fetch_batch(batch, start, version=source_version(source))


def _lambda_client(endpoint: Endpoint, options: Mapping[str, Any]) -> Any:
    """Return a client; what the endpoint does not have is found by boto3."""
    import boto3
    from botocore.config import Config

    return boto3.client(
        "lambda",
        endpoint_url=endpoint.url or None,
        region_name=endpoint.region or None,
        aws_access_key_id=endpoint.login or None,
        aws_secret_access_key=endpoint.token,
        config=Config(**options),
    )


def _result(  # noqa: PLR0913 - all that a result is made of
    workspace: Workspace,
    batches: Sequence[Batch],
    pipeline: Pipeline,
    read: Pipeline,
    as_of: datetime,
    *,
    charts: bool,
    base: Base | None,
) -> Result:
    """Process, consolidate and report; ``read`` is the pipeline that reads the records."""
    manifest = consolidating.consolidate(
        workspace,
        RunIdentity(pipeline.name, "test", as_of),
        Loaded(pipeline, ""),
        partial(processing.process_batch, loaded=Loaded(read, ""), as_of=as_of),
        schema=processing.arrow_schema(pipeline.contract),
        version=source_version(pipeline.source),
        base=base,
    )
    report = _report(workspace, pipeline, manifest) if charts else ""
    known = {
        key: each
        for batch in batches
        for key, each in {**batch.outcomes(), **batch.failed()}.items()
    }
    # In the order of the items, not in that in which they were fetched.
    keys = [item.key for batch in batches for item in batch.items()]
    outcomes = {key: known[key] for key in keys if key in known}
    same = workspace.dataset / SAME
    for line in read_jsonl(same) if same.exists() else ():
        outcomes[line["item"]] = noted(outcomes[line["item"]], line)
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
        records=_records(batches, read, keys),
        base={
            entry.format: (workspace.dataset / entry.key).read_bytes()
            for entry in manifest.files
            if entry.format in {STATE, LEDGER}
        },
    )


def _records(batches: Sequence[Batch], pipeline: Pipeline, keys: Sequence[str]) -> dict[str, Any]:
    source = pipeline.source
    if not isinstance(source, Files):
        fetched = (each for batch in batches for part in batch.fetched(1000) for each in part)
        records = {outcome.key: found for outcome, found in fetched}
        return {key: records[key] for key in keys if key in records}
    files = {file.outcome.key: file for batch in batches for file in batch.fetched_files()}
    return {
        key: processing.first_records(pipeline, source, files[key])
        for key in itertools.islice(filter(files.__contains__, keys), _SHOWN_FILES)
    }


def _report(workspace: Workspace, pipeline: Pipeline, manifest: Manifest) -> str:
    tables = {name: workspace.table(name) for name in pipeline.tables}
    tables["dataset"] = workspace.table(pipeline.dataset)
    reporting.check_charts(pipeline, tables, workspace.spill)
    written = reporting.write_report(workspace, pipeline, manifest, messages={})
    return written.page.read_text("utf-8")


def _frame(path: Path) -> pd.DataFrame:
    import pyarrow.parquet as pq

    # Not pandas.read_parquet: it imports pyarrow.dataset, which no task needs.
    with pq.ParquetFile(path) as file:
        frame: pd.DataFrame = file.read().to_pandas()
    return frame


def endpoint_of(connection_id: str, *, functions: bool = False) -> Endpoint:
    """Return the endpoint of an Airflow connection in ``AIRFLOW_CONN_<ID>``, as JSON or as a URI.

    ``functions`` says that it is that of a :class:`~fanfold.Function`, not of an API.

    Raises:
        BadConfiguration: The variable is not set, or its content is wrong.
    """
    fields = _connection(connection_id)
    if not fields:
        raise BadConfiguration(
            f"{_variable(connection_id)} is not set. Set it to the connection of the API, for example "
            """'{"conn_type": "http", "host": "https://api.example.org", "password": "token"}'."""
        )
    known: dict[str, Any] = {
        "host": fields.get("host"),
        "port": fields["port"],
        "schema": fields.get("schema"),
        "token": fields.get("password"),
        "extra": fields["extra"],
    }
    if functions:
        known |= {"conn_type": fields.get("conn_type"), "login": fields.get("login")}
        return function_endpoint(connection_id, **known)
    return Endpoint.parse(connection_id, **known)


def _variable(connection_id: str) -> str:
    return f"AIRFLOW_CONN_{connection_id.upper()}"


def _connection(connection_id: str) -> dict[str, Any]:
    """Return the fields of a connection, empty if its variable is not set."""
    name = _variable(connection_id)
    value = os.environ.get(name, "")
    if not value:
        return {}
    try:
        fields = json.loads(value) if value.lstrip().startswith("{") else _from_uri(value)
        extra = fields.get("extra") or {}
        extra = json.loads(extra) if isinstance(extra, str) else extra
        port = int(fields["port"]) if fields.get("port") else None
    except (ValueError, AttributeError, TypeError):
        raise BadConfiguration(f"{name} is neither the JSON nor the URI of a connection.") from None
    return {**fields, "extra": extra, "port": port}


def _from_uri(value: str) -> dict[str, Any]:
    """Return the fields of a connection's URI. Source: Airflow, "Managing connections"."""
    parts = urlsplit(value)
    query = dict(pair.partition("=")[::2] for pair in parts.query.split("&") if pair)
    return {
        "conn_type": parts.scheme,
        "host": unquote(parts.hostname or ""),
        "port": parts.port,
        "login": unquote(parts.username or ""),
        "schema": unquote(parts.path.strip("/")) or parts.scheme,
        "password": unquote(parts.password or ""),
        "extra": {name: unquote(text) for name, text in query.items()},
    }
