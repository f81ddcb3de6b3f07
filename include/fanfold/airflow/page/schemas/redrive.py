"""Redrive."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from fanfold.airflow.page.schemas.base import Schema


class Redrivable(Schema):
    """Whether a redrive is possible now, and allowed for this user."""

    allowed: bool = Field(description="Whether this user may edit runs of the DAG.")
    possible: bool
    why_not: str | None = Field(
        description="`active` (the run is not finished), `no_plan`, or `nothing` (nothing failed)."
    )
    items: int = Field(description="Items that a redrive fetches again.")


class RedriveRequest(BaseModel):
    """What to fetch again; without both lists: everything that failed."""

    model_config = ConfigDict(extra="forbid")

    dry_run: bool = Field(
        default=True,
        # Airflow's audit log takes "false" for a dry run and omits it.
        strict=True,
        description="Only return the cost; change nothing.",
    )
    keys: list[str] = Field(default=[], max_length=10_000, description="Only these items.")
    groups: list[str] = Field(
        default=[], max_length=500, description="Only items with these reasons, by group id."
    )


class Redrive(Schema):
    """The cost of a redrive."""

    dry_run: bool
    items: int
    requests: int
    batches: int
    tasks: int = Field(description="Cleared task instances, downstream tasks included.")
