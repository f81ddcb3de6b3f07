"""The addresses of items: what the Param ``items_uri`` and the Variable of a DAG may be."""

from __future__ import annotations

import re

from fanfold.errors import BadInput

FORMAT = "URI of an items file (.csv, .jsonl or .parquet), a dataset or a run"
"""The ``format`` of JSON Schema, whose name is in Airflow's message about an invalid value."""
FORMS = (
    "file:///folder/name or s3://bucket/name, ending in .csv, .jsonl (also with .gz) or .parquet; "
    "dataset://dag_id/column or dataset://dag_id/table/column; run://dag_id/run_id"
)
_URI = re.compile(
    r"(file:///|s3://[^/]+/).+\.(csv|jsonl|csv\.gz|jsonl\.gz|parquet)"
    r"|dataset://[^/]+(/[^/]+){1,2}"
    r"|run://[^/]+/.+"
)


def is_uri(text: object) -> bool:
    """Return whether a value is the address of items, or empty: the trigger form sends empty texts."""
    return not isinstance(text, str) or not text or _URI.fullmatch(text) is not None


def check_uri(text: str, name: str) -> None:
    """Check that a text is the address of items.

    Args:
        text: The text.
        name: The Param or Variable, for the message.

    Raises:
        BadInput: It is not; the message lists the valid forms.
    """
    if is_uri(text):
        return
    hint = f" For a local file, write file://{text}." if text.startswith("/") else ""
    raise BadInput(
        f"{name}: {text[:200]!r} is not an items file, a dataset or a run.{hint} The forms are: {FORMS}."
    )
