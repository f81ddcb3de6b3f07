"""Read the items of a run: from its Params, a file, a dataset, an earlier run or a query.

Who may trigger a run may read the files and objects that ``FANFOLD_FILES_ALLOWED`` allows, the published
datasets and failed items of all DAGs, and, where the pipeline's author allows queries, one database.
"""

from __future__ import annotations

import contextlib
import logging
import tempfile
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fanfold import readers
from fanfold.airflow import connections, settings
from fanfold.airflow.query import query_rows
from fanfold.errors import BadInput
from fanfold.messages import Message
from fanfold.readers.datasets import from_dataset
from fanfold.readers.objects import FACTS, FileCounts, find_files
from fanfold.readers.patterns import window_of
from fanfold.readers.runs import from_run
from fanfold.readers.since import with_since
from fanfold.sources import Api, Files
from fanfold.stages.planning.base import choose_base
from fanfold.storage.published import read_published
from fanfold.workspace.base import LEDGER, STATE, BaseRef, read_ledger, write_base_ref
from fanfold.workspace.paths import Workspace, safe_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime

    from fanfold.airflow.items_from import ItemsFrom
    from fanfold.model import RunIdentity
    from fanfold.pipeline import Pipeline
    from fanfold.sources.endpoint import Endpoint
    from fanfold.storage.published import Published
    from fanfold.workspace.base import LedgerRow

log = logging.getLogger(__name__)


@contextlib.contextmanager
def items_of_run(
    run: RunIdentity,
    workspace: Workspace,
    pipeline: Pipeline,
    chosen: ItemsFrom,
    options: settings.Options,
) -> Iterator[Iterable[readers.Located]]:
    """Yield the items of a run with their locations; write what a run in mode ``merge`` is merged into.

    Raises:
        BadInput: As :func:`located_items`; a pattern, URI or location of a file is wrong; the rows of
            the published dataset were made by other code.
        BadConfiguration: As :func:`located_items`; a location of files cannot be listed.
        CredentialRefused, ItemRefused: The API does not list its items.
        SourceBusy, SinkUnavailable: Object storage or the database is unavailable.
    """
    with contextlib.ExitStack() as stack:
        base, ref = None, BaseRef()
        if pipeline.mode == "merge":
            bucket = stack.enter_context(connections.bucket(settings.bucket_name()))
            base = read_published(bucket, safe_name(run.dag_id))
            if base and base.manifest.mode != "merge":
                base = None
            manifest = base.manifest if base is not None else None
            ref = choose_base(pipeline, manifest, options.earlier_rows)
        listed = None
        if base is not None and base.manifest.listed and not ref.rebuild:
            listed = date.fromisoformat(base.manifest.listed)
        window = window_of(run.logical_date, options.lag_days, mode=pipeline.mode, listed=listed)
        if pipeline.mode == "merge":
            # A run of some files only must not move the window past those that it did not search.
            is_whole = chosen.is_default and not chosen.uri and isinstance(pipeline.source, Files)
            write_base_ref(workspace, replace(ref, listed=str(window.last) if is_whole else ""))
        source = pipeline.source
        if isinstance(source, Api) and source.listing and chosen.is_empty:
            endpoint = connections.endpoint(pipeline)
            entries: Iterable[readers.Located] = readers.from_list(
                _listed_items(source, endpoint, run.logical_date, options), pipeline.item_column
            )
        else:
            located = located_items(chosen, pipeline.item_column, pipeline.check_item)
            entries = stack.enter_context(located)
        if not isinstance(source, Files):
            if pipeline.cursor:
                state = None if ref.rebuild else _downloaded(base, STATE, stack)
                entries = with_since(entries, pipeline, state, run.logical_date)
            yield entries
            return
        locations = stack.enter_context(connections.locations(source.connection))
        counts, uri = FileCounts(), readers.written_uri(chosen.uri or "", locations)
        is_file = uri.startswith(("s3://", "file://"))
        yield find_files(
            _without_facts(entries) if uri.startswith("run://") else entries,
            locations,
            window,
            folder=uri.rpartition("/")[0] + "/" if is_file else "",
            ledger=_ledger(base, stack) if pipeline.mode == "merge" else None,
            rebuild=ref.rebuild,
            counts=counts,
        )
        log.info("%s.", counts.text(window))


def _listed_items(
    api: Api, endpoint: Endpoint, as_of: datetime, options: settings.Options
) -> Sequence[Any]:
    """Return the items that an API lists."""
    from fanfold.sources.session import ApiSession
    from fanfold.stages.fetching.listing import list_items

    with (
        ApiSession(api, endpoint, as_of=as_of) as session,
        connections.rate_limiter(endpoint, options) as limiter,
    ):
        found = list_items(session, limiter)
    log.info("%s lists %d items.", endpoint.connection, len(found))
    return found


def _ledger(base: Published | None, stack: contextlib.ExitStack) -> Iterable[LedgerRow]:
    path = _downloaded(base, LEDGER, stack)
    return read_ledger(path) if path else ()


def _downloaded(base: Published | None, form: str, stack: contextlib.ExitStack) -> Path | None:
    """Download the state or ledger of a published dataset into a folder that the stack removes."""
    if base is None:
        return None
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="fanfold-base-"))
    return base.download(base.manifest.file_of("", form), Path(folder) / f"{form}.parquet")


def _without_facts(entries: Iterable[readers.Located]) -> Iterator[readers.Located]:
    """Yield items of an earlier run without size, ETag and time: the files may have changed since."""
    for kind, number, key, attributes in entries:
        others = {name: value for name, value in (attributes or {}).items() if name not in FACTS}
        yield kind, number, key, others


@contextlib.contextmanager
def located_items(
    chosen: ItemsFrom, column: str, check: Callable[[str], str] = str
) -> Iterator[Iterable[readers.Located]]:
    """Yield the items of a run with their locations (line or row), for error messages.

    ``column`` is the column with the keys; ``check`` raises ``ValueError`` for what is no key.

    Raises:
        BadInput: The file, dataset, run or query is missing, not allowed or wrong.
        BadConfiguration: A connection or an environment variable is missing or wrong.
        SourceBusy, SinkUnavailable: Object storage, the disk or the database is unavailable.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(_named(chosen.variable))
        if chosen.sql:
            connection = chosen.sql_connection or connections.WAREHOUSE
            columns, rows = stack.enter_context(query_rows(connection, chosen.sql))
            yield readers.from_rows(columns, rows, column)
        elif chosen.uri:
            yield _from_uri(chosen.uri, column, check, stack)
        else:
            yield readers.from_list(chosen.items, column)


@contextlib.contextmanager
def _named(variable: str) -> Iterator[None]:
    """Name the Variable that has the items, instead of a Param, in errors about them."""
    try:
        yield
    except BadInput as error:
        if variable and not error.message.id:
            text = str(error).removeprefix("items_uri: ").removeprefix("items_sql: ")
            error.message = Message(f"Variable {variable}: {text}")
            error.args = (str(error.message),)
        raise


def _from_uri(
    uri: str, column: str, check: Callable[[str], str], stack: contextlib.ExitStack
) -> Iterable[readers.Located]:
    scheme, _, rest = uri.partition("://")
    if scheme == "run":
        dag_id, _, run_id = rest.partition("/")
        workspace = Workspace.of_run(settings.shared_directory(), dag_id, run_id)
        return from_run(workspace, name=uri)
    if scheme == "dataset":
        temporary = tempfile.TemporaryDirectory(prefix="fanfold-items-")
        folder = Path(stack.enter_context(temporary))
        dag_id, *table, column = rest.split("/")
        bucket = stack.enter_context(connections.bucket(settings.bucket_name()))
        return from_dataset(bucket, dag_id, table[0] if table else None, column, folder)
    locations = stack.enter_context(connections.locations(connections.AWS))
    return readers.from_uri(uri, locations, column, check)
