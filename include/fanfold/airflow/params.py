"""The Params of every pipeline over users: what the trigger form shows and the CLI accepts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import Param

if TYPE_CHECKING:
    from collections.abc import Sequence

ITEMS = "What to fetch"
PACE = "How to fetch it"
OUTCOME = "What to make of it"


def user_params(users: Sequence[str], *, noun: str, example: str) -> dict[str, Param]:
    """Return the Params of a pipeline over users.

    Args:
        users: The default list, so that Trigger works at once.
        noun: What an item is called (``uid``), for the descriptions.
        example: The name of a column in a file of items.

    Returns:
        Name → Param; wrong values are refused before anything runs.
    """
    return {
        "user_ids": Param(
            list(users),
            # Without a schema for its items the form shows a field of lines, not of JSON.
            type="array",
            maxItems=10_000,
            title="Users",
            description=f"One {noun} a line. For longer lists use an items file.",
            section=ITEMS,
        ),
        "items_uri": Param(
            None,
            type=["null", "string"],
            # An empty field of the form means: no file.
            pattern=r"^$|^(file:///|s3://[^/]+/).+\.(csv|jsonl|csv\.gz|jsonl\.gz|parquet)$",
            maxLength=2048,
            title="Items file",
            description=(
                "Instead of the list: a CSV, JSONL or Parquet file with a column "
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
            title="Items in a batch",
            description=(
                "One mapped task handles one batch. Empty: automatic (up to 32 users, one each)."
            ),
            section=PACE,
        ),
        "concurrency": Param(
            16,
            type="integer",
            minimum=1,
            maximum=256,
            title="Requests in flight",
            description="In each batch. Batches run side by side, as far as Airflow has slots.",
            section=PACE,
        ),
        "requests_per_second": Param(
            None,
            type=["null", "number"],
            exclusiveMinimum=0,
            maximum=100_000,
            title="Requests a second",
            description=(
                "Of all tasks together. Empty: what the connection says in "
                "requests_per_second, or as fast as it goes."
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
                "With more failed or invalid users than this, nothing is published and the run "
                "fails. Users that do not exist are no failures."
            ),
            section=OUTCOME,
        ),
        "dry_run": Param(
            False,  # noqa: FBT003 - a Param's default is positional
            type="boolean",
            title="Only plan",
            description="Stop after plan, which logs requests and duration.",
            section=OUTCOME,
        ),
    }
