"""The Params of a pipeline, for the trigger form and the CLI."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from airflow.sdk import Param

from fanfold.airflow.settings import CONNECTION, DEFAULT, IS_LIST, SAMPLE
from fanfold.uris import FORMAT

if TYPE_CHECKING:
    from collections.abc import Sequence

ADVANCED = "Advanced"
"""Section of all Params but the list, the items file and the dry run, which the form shows first."""
_URI_OTHERS = (
    "A column of another DAG's latest dataset: dataset://dag_id/column, or "
    "dataset://dag_id/table/column for a fold. The failed and invalid items of a run: "
    "run://dag_id/run_id."
)
_UNCHANGED = (
    " Unchanged, the run takes the items of the schedule: those of the Airflow Variable with the name of "
    "the DAG and _items, if there is one, else this list."
)
Mode = Literal["snapshot", "merge"]


def item_params(  # noqa: PLR0913 - defaults of Params
    default: Sequence[Any] = (),
    *,
    name: str = "items",
    noun: str = "item",
    column: str = "item",
    title: str = "Items",
    empty: str = "",
    uri: str = "",
    sql: str = "",
    sql_connection: str | None = None,
    requests: bool = True,
    mode: Mode = "snapshot",
    sample: bool = False,
    tolerated_failures: float = 5,
    tolerated_rejected: float = 5,
) -> dict[str, Param]:
    """Return the Params of a pipeline; invalid values are rejected before the run starts.

    Args:
        default: The default list: strings, integers, or objects with the key as ``column`` and
            further attributes.
        name: Name of the Param with the list.
        noun: What an item is, for the descriptions: ``uid``.
        column: ``item_column`` of the pipeline: the column with the keys in files and queries.
        title: Title of the list in the form.
        empty: What an empty list means, for its description: ``the hot list of the hour``.
        uri: Default of ``items_uri``.
        sql: Default of ``items_sql``.
        sql_connection: Airflow connection of ``items_sql``. Without it there is no such Param: who
            may trigger the DAG may then read what the connection's user may read.
        requests: False for a pipeline without requests (:class:`fanfold.Compute`): it has no Params
            for rate and concurrency.
        mode: That of the pipeline. For ``merge``, there is ``earlier_rows``; for ``snapshot``,
            ``update_latest``.
        sample: Whether the default list is only a sample: scheduled runs then fail in ``preflight`` until
            the Variable of the DAG has a list.
        tolerated_failures: Default of ``tolerated_failure_percentage``.
        tolerated_rejected: Default of ``tolerated_rejected_percentage``.
    """
    advanced = {}
    if sql_connection:
        advanced["items_sql"] = _sql_param(sql, sql_connection, column)
    if mode == "merge":
        advanced["earlier_rows"] = _earlier_rows_param(
            "auto: merge, or stop before anything is fetched if the code that makes rows has changed. "
            "keep: merge all the same. rebuild: the dataset has the rows of this run only."
        )
    return {
        name: _list_param(
            list(default),
            title,
            f"One {noun} per line. Use an items file for longer lists.{_empty(empty)}{_UNCHANGED}",
            sample=sample,
        ),
        "items_uri": _uri_param(
            uri,
            "Items file, dataset or run",
            f"Used instead of the list. A CSV, JSONL or Parquet file with a column '{column}': "
            "file:///path/items.csv or s3://bucket/items.jsonl; its other columns are the items' "
            f"attributes. {_URI_OTHERS}",
        ),
        "dry_run": _dry_run_param(),
        **advanced,
        **_latest_params(mode),
        "batch_size": _batch_param("Items per mapped task."),
        **(_request_params() if requests else {}),
        **_failure_params(tolerated_failures, tolerated_rejected),
    }


def file_params(  # noqa: PLR0913 - defaults of Params
    default: Sequence[Any] = (),
    *,
    noun: str = "file",
    column: str = "item",
    empty: str = "",
    lag_days: int = 3,
    mode: Mode = "snapshot",
    tolerated_failures: float = 5,
    tolerated_rejected: float = 5,
) -> dict[str, Param]:
    """Return the Params of a pipeline over files (:class:`fanfold.Files`).

    Args:
        default: The default list: URIs, patterns (:mod:`fanfold.readers.patterns`), or objects with the
            URI as ``column`` and further attributes.
        noun: What an item is, for the descriptions: ``order file``.
        column: ``item_column`` of the pipeline: the column with the URIs in manifest files.
        empty: What an empty list means, for its description.
        lag_days: Default of ``lag_days``.
        mode: That of the pipeline. For ``merge``, there is ``earlier_rows``; for ``snapshot``,
            ``update_latest``.
        tolerated_failures: Default of ``tolerated_failure_percentage``.
        tolerated_rejected: Default of ``tolerated_rejected_percentage``.
    """
    begin = "before the logical date."
    if mode == "merge":
        begin = (
            "before the last date that a published run has searched with the list of the DAG file. If "
            "there is none, all dates are searched."
        )
    advanced = {}
    if mode == "merge":
        advanced["earlier_rows"] = _earlier_rows_param(
            "auto: read new and changed files, or all files if the code that makes rows has changed. keep: "
            "new and changed files all the same. rebuild: all files."
        )
    return {
        "files": _list_param(
            list(default),
            "Files",
            f"One {noun} or pattern per line, such as s3://bucket/orders/{{date}}/*.csv: * matches within "
            f"a folder, ** any folders, {{date}} or {{date:%Y/%m/%d}} the dates up to the logical date.{_empty(empty)}"
            f"{_UNCHANGED}",
        ),
        "items_uri": _uri_param(
            "",
            "Manifest file, dataset or run",
            f"Used instead of the list. A CSV, JSONL or Parquet file with a column '{column}' of URIs, or of "
            "names relative to the folder of this file, and optionally size, etag and modified: "
            f"file:///path/files.csv or s3://bucket/files.jsonl. {_URI_OTHERS}",
        ),
        "dry_run": _dry_run_param(),
        "lag_days": Param(
            lag_days,
            type="integer",
            minimum=0,
            maximum=3660,
            title="Lag (days)",
            description=f"For patterns with a date: the search begins this many days {begin}",
            section=ADVANCED,
        ),
        **advanced,
        **_latest_params(mode),
        "batch_size": _batch_param("Files per mapped task; a task has at most 64 MB, or one file."),
        **_failure_params(tolerated_failures, tolerated_rejected),
    }


def _batch_param(description: str) -> Param:
    return Param(
        None,
        type=["null", "integer"],
        minimum=1,
        maximum=100_000,
        title="Batch size",
        description=f"{description} Empty: automatic (one item per task for up to 32 items).",
        section=ADVANCED,
    )


def _empty(meaning: str) -> str:
    return f" Empty: {meaning}." if meaning else ""


def _earlier_rows_param(description: str) -> Param:
    return Param(
        "auto",
        type="string",
        enum=["auto", "keep", "rebuild"],
        title="Earlier rows",
        description=f"The published dataset, which this run is merged into. {description}",
        section=ADVANCED,
    )


def _failure_params(tolerated_failures: float, tolerated_rejected: float) -> dict[str, Param]:
    percentage = partial(Param, type="number", minimum=0, maximum=100, section=ADVANCED)
    return {
        "tolerated_failure_percentage": percentage(
            tolerated_failures,
            "If more items are failed or invalid, the run fails and publishes nothing. Missing items "
            "do not count as failures.",
            title="Tolerated failures (%)",
        ),
        "tolerated_rejected_percentage": percentage(
            tolerated_rejected,
            "If more of all rows break the contract, the run fails and publishes nothing. Rejected "
            "rows are not in the dataset, but in rejected.jsonl.",
            title="Tolerated rejected rows (%)",
        ),
        "row_drop_warning_percentage": percentage(
            50,
            "If the dataset or a fold has fewer rows than the latest published one, by more than this "
            "share, the run warns before it publishes. It publishes all the same.",
            title="Warning for fewer rows (%)",
        ),
    }


def _latest_params(mode: Mode) -> dict[str, Param]:
    if mode == "merge":
        return {}
    update = Param(
        "auto",
        type="string",
        enum=["auto", "yes", "no"],
        title="Update latest",
        description="Whether latest.json points to this run afterwards, and DAGs that wait for the dataset "
        "start. auto: yes, unless this run has a list or file of its own and there is a published run. "
        "no: the run is published under its own prefix only.",
        section=ADVANCED,
    )
    return {"update_latest": update}


def _dry_run_param() -> Param:
    return Param(
        default=False,
        type="boolean",
        title="Dry run",
        description="Stop after the plan, which has the expected requests and duration.",
    )


def _list_param(default: list[Any], title: str, description: str, *, sample: bool = False) -> Param:
    schema: dict[str, Any] = {
        "type": "array",
        "maxItems": 10_000,
        "title": title,
        DEFAULT: default,
        IS_LIST: True,
        SAMPLE: sample,
    }
    if any(isinstance(item, dict) for item in default):
        # The form then shows an editor for JSON. Without a schema for the items of the list it
        # shows a text area with one item per line.
        schema["items"] = {"type": ["string", "integer", "object"]}
    return Param(default, schema=schema, description=description)


def _uri_param(uri: str, title: str, description: str) -> Param:
    schema = {"type": ["null", "string"], "format": FORMAT, "maxLength": 2048, "title": title}
    schema |= {DEFAULT: uri or None}
    return Param(uri or None, description, schema=schema)


def _sql_param(sql: str, connection: str, column: str) -> Param:
    return Param(
        sql or None,
        schema={
            "type": ["null", "string"],
            "format": "multiline",
            "maxLength": 20_000,
            "title": "Items query",
            "section": ADVANCED,
            DEFAULT: sql or None,
            CONNECTION: connection,
        },
        description=(
            f"Used instead of the list: an SQL query on the connection {connection}, read-only. The "
            f"column {column}, or else the first one, has the items; the others are their attributes."
        ),
    )


def _request_params() -> dict[str, Param]:
    return {
        "concurrency": Param(
            16,
            type="integer",
            minimum=1,
            maximum=256,
            title="Concurrent requests",
            description="Maximum per batch. Batches run in parallel, as far as Airflow has slots.",
            section=ADVANCED,
        ),
        "requests_per_second": Param(
            None,
            type=["null", "number"],
            exclusiveMinimum=0,
            maximum=100_000,
            title="Requests per second",
            description=(
                "Limit for all tasks of the connection. Empty: requests_per_second of the "
                "connection, or unlimited."
            ),
            section=ADVANCED,
        ),
    }
