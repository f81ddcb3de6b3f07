"""Items that are not ``ok``, and rejected rows."""

from __future__ import annotations

from pydantic import Field, model_validator

from fanfold.airflow.page.schemas.base import Schema
from fanfold.airflow.page.schemas.items import ItemOutcome, RejectedRow
from fanfold.model import Status


class Example(Schema):
    """An item of a group, with the invalid value, if there is one."""

    key: str
    value: str | None

    @model_validator(mode="before")
    @classmethod
    def _from_pair(cls, pair: tuple[str, str | None]) -> dict[str, str | None]:
        return dict(zip(("key", "value"), pair, strict=True))


class RejectedGroup(Schema):
    """Rejected rows with a value in the same column that breaks the same rule."""

    id: str
    column: str | None = Field(
        description="Empty for an exception; null for the group of all further reasons."
    )
    rule: str | None
    count: int
    examples: list[Example]


class FailureGroup(RejectedGroup):
    """Items with the same outcome for the same reason."""

    status: Status
    reason: str = Field(description="Empty for the group of all further reasons.")
    reason_id: str | None = Field(description="Id of the reason; null for a text without one.")
    attempts: int


class Failures(Schema):
    """The items that are not ``ok`` and the rejected rows, by reason."""

    final: bool = Field(
        description="Whether individual items and rows can be listed: after `consolidate`."
    )
    groups: list[FailureGroup]
    rejected: list[RejectedGroup]


class FailedItem(ItemOutcome):
    """A line of ``failed.jsonl`` or ``missing.jsonl``."""

    key: str


class FailedItems(Schema):
    """A page of ``failed.jsonl`` or ``missing.jsonl``."""

    items: list[FailedItem]
    next: int | None = Field(description="`after` of the next page; null at the end.")


class RejectedRows(Schema):
    """A page of ``rejected.jsonl``."""

    rows: list[RejectedRow]
    next: int | None = Field(description="`after` of the next page; null at the end.")
