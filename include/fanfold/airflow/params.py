"""Params of the pipelines: the fields of the trigger form and the keys of ``--conf``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import Param

if TYPE_CHECKING:
    from collections.abc import Sequence

ITEMS = "Items"
PACE = "Concurrency and rate limit"
OUTCOME = "Failure handling"


def user_params(users: Sequence[str], *, noun: str, example: str) -> dict[str, Param]:
    """Return the Params of a pipeline over users.

    Args:
        users: Default list.
        noun: Name of an item (``uid``), for the descriptions.
        example: Name of the items column in an items file.

    Returns:
        Params by name; Airflow validates them before the run starts.
    """
    return {
        "user_ids": Param(
            list(users),
            # Without an item schema the form shows a multi-line text field instead of JSON.
            type="array",
            maxItems=10_000,
            title="Users",
            description=f"One {noun} per line. For longer lists use an items file.",
            section=ITEMS,
        ),
        "items_uri": Param(
            None,
            type=["null", "string"],
            # The form submits an empty string for an empty field.
            pattern=r"^$|^(file:///|s3://[^/]+/).+\.(csv|jsonl|csv\.gz|jsonl\.gz|parquet)$",
            maxLength=2048,
            title="Items file",
            description=(
                "Used instead of the list: a CSV, JSONL or Parquet file with a column "
                f"{example}, as file:///path/users.csv or "
                "s3://bucket/users.jsonl."
            ),
            section=ITEMS,
        ),
        "batch_size": Param(
            None,
            type=["null", "integer"],
            minimum=1,
            maximum=100_000,
            title="Batch size",
            description=(
                "Items per mapped task. Empty: automatic (up to 32 users: one user per task)."
            ),
            section=PACE,
        ),
        "concurrency": Param(
            16,
            type="integer",
            minimum=1,
            maximum=256,
            title="Concurrency",
            description="Maximum concurrent requests per batch. Batches run in parallel.",
            section=PACE,
        ),
        "requests_per_second": Param(
            None,
            type=["null", "number"],
            exclusiveMinimum=0,
            maximum=100_000,
            title="Requests per second",
            description=(
                "Rate limit over all tasks of the connection. Empty: requests_per_second of the "
                "connection, or unlimited."
            ),
            section=PACE,
        ),
        "tolerated_failure_percentage": Param(
            5,
            type="number",
            minimum=0,
            maximum=100,
            title="Tolerated failures (%)",
            description=(
                "If more users fail or are invalid, the run fails and nothing is published. Users "
                "that do not exist do not count as failures."
            ),
            section=OUTCOME,
        ),
        "dry_run": Param(
            False,  # noqa: FBT003 - a Param's default is positional
            type="boolean",
            title="Dry run",
            description="Stop after the plan, which logs the forecast of requests and duration.",
            section=OUTCOME,
        ),
    }
