"""Redrive."""

from __future__ import annotations

from pydantic import Field

from fanfold.airflow.page.schemas.base import ChangeRequest, Schema
from fanfold.workspace.redrives import Kind


class Redrivable(Schema):
    """Whether a redrive is possible now, and allowed for this user."""

    allowed: bool = Field(description="Whether this user may edit runs of the DAG.")
    possible: bool
    why_not: str | None = Field(
        description="`active` (the run is not finished), `approval` (it waits for one), `no_plan`, or `nothing` (nothing failed)."
    )
    items: int = Field(description="Items that a redrive fetches again.")


class Redriven(Schema):
    """An earlier redrive of the run."""

    at: str
    by: str = Field(description="Name of the user.")
    items: int = Field(description="Items to fetch.")
    requests: int
    kind: Kind = Field(description="`publish` if it was published in spite of its failures.")


class Failure(Schema):
    """The task for which a run failed."""

    task_id: str
    map_index: int = Field(description="-1 if the task is not mapped.")
    label: str | None = Field(description="That of the batch.")
    message: str | None = Field(
        description="What happened, and what to do; null if its last try was killed."
    )
    connection: str | None = Field(description="The Airflow connection that it is about.")
    tries: int


class RedriveRequest(ChangeRequest):
    """What to fetch again; without both lists: everything that failed."""

    keys: list[str] = Field(default=[], max_length=10_000, description="Only these items.")
    groups: list[str] = Field(
        default=[], max_length=500, description="Only items with these reasons, by group id."
    )


class Redrive(Schema):
    """The cost of a redrive."""

    dry_run: bool
    items: int = Field(description="Items that are fetched again.")
    requests: int
    seconds: float | None = Field(
        description="Forecast from the start of the redrive to the end of the run; null if unknown."
    )
    to_process: int = Field(
        description="Items whose records are here, but whose rows are not: they are only processed."
    )
    batches: int
    tasks: int = Field(description="Cleared task instances, downstream tasks included.")
    starts_over: bool = Field(description="Whether there is no plan: the run begins anew.")
