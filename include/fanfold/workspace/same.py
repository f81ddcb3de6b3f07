"""Items whose row is not in the dataset, because an earlier item has given the row with its key."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fanfold.messages import ENGINE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fanfold.model import Outcome

SAME = "same.jsonl"
"""Lines with ``item``, ``same_as`` (the earlier item) and ``differs`` (whether other columns do), one a row."""


def noted(outcome: Outcome, line: Mapping[str, Any]) -> Outcome:
    """Return the outcome of an item, which is ``ok``, with a line about it as its reason."""
    message = ENGINE.message(
        "item.same_key" if line["differs"] else "item.same", item=line["same_as"]
    )
    return replace(outcome, reason=message.text, reason_id=message.id, reason_params=message.params)
