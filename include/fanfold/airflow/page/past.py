"""The runs of a DAG that have a dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.models.dagrun import DagRun
from sqlalchemy import select

from fanfold.airflow.page.runs import begun
from fanfold.workspace.history import Past, read_history

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from fanfold.airflow.page.access import Run


def past_runs(session: Session, run: Run) -> list[Past]:
    """Return the consolidated runs of a run's DAG that Airflow still has, as the history orders them.

    The run itself may be one of them.
    """
    dag_id = run.dag_run.dag_id
    history = read_history(run.workspace.history)
    ids = [past.run_id for past in history]
    query = select(DagRun.run_id).where(DagRun.dag_id == dag_id, DagRun.run_id.in_(ids))
    known = begun(session, dag_id, ids) & frozenset(session.scalars(query))
    return [past for past in history if past.run_id in known]


def newest_first(runs: list[Past]) -> list[Past]:
    """Return runs by their logical date, and by their position in the history for equal dates."""
    return sorted(runs, key=lambda past: past.logical_date)[::-1]
