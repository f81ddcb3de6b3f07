"""The Params of pipelines over users, for the trigger form and the CLI."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import Param

if TYPE_CHECKING:
    from collections.abc import Sequence

ITEMS = "Items to fetch"
RATE = "Rate and concurrency"
FAILURES = "Failure handling"


def user_params(users: Sequence[str], *, noun: str, example: str) -> dict[str, Param]:
    """Return the Params of a pipeline over users.

    Args:
        users: The default list.
        noun: The name of an item (``uid``), for the descriptions.
        example: The name of a column in a file of items.

    Returns:
        Params by name; invalid values are rejected before the run starts.
    """
    return {
        "user_ids": Param(
            list(users),
            # Without a schema for its items, the form shows a text area with one item per line.
            type="array",
            maxItems=10_000,
            title="Users",
            description=f"One {noun} per line. Use an items file for longer lists.",
            section=ITEMS,
        ),
        "items_uri": Param(
            None,
            type=["null", "string"],
            # The form sends an empty string for an empty field.
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
                "Items per mapped task. Empty: automatic (one item per task for up to 32 items)."
            ),
            section=RATE,
        ),
        "concurrency": Param(
            16,
            type="integer",
            minimum=1,
            maximum=256,
            title="Concurrent requests",
            description="Maximum per batch. Batches run in parallel, as far as Airflow has slots.",
            section=RATE,
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
            section=RATE,
        ),
        "tolerated_failure_percentage": Param(
            5,
            type="number",
            minimum=0,
            maximum=100,
            title="Tolerated failures (%)",
            description=(
                "If more items are failed or invalid, the run fails and publishes nothing. Missing "
                "items do not count as failures."
            ),
            section=FAILURES,
        ),
        "dry_run": Param(
            False,  # noqa: FBT003 - a Param's default is positional
            type="boolean",
            title="Dry run",
            description="Stop after the plan, which logs the expected requests and duration.",
            section=FAILURES,
        ),
    }
