"""One item, found by its key or its label."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from airflow.api_fastapi.common.db.common import SessionDep
from fastapi import APIRouter, Query

from fanfold.airflow.page import schemas
from fanfold.airflow.page.access import MAY_SEE, RunDep
from fanfold.airflow.page.language import Translator, TranslatorDep
from fanfold.airflow.page.past import newest_first, past_runs
from fanfold.airflow.page.refusal import Refusal, refusals
from fanfold.airflow.page.runs import is_active, tasks_of
from fanfold.airflow.page.verdict import result_of
from fanfold.queries.item_history import item_history
from fanfold.queries.items import ItemDetails, find_item
from fanfold.queries.suggestions import suggest

router = APIRouter(dependencies=MAY_SEE, tags=["items"])

SUGGESTED = 10
Key = Annotated[str, Query(min_length=1, max_length=1000, description="The item's key.")]

_RUNS = 30
"""Runs in the history of an item."""


@router.get(
    "/dags/{dag_id}/runs/{run_id}/items",
    responses=refusals(404, 500, 503),
    operation_id="get_item",
)
def get_item(
    run: RunDep,
    session: SessionDep,
    translator: TranslatorDep,
    key: Key,
) -> schemas.Item:
    """Return the outcomes of an item, and its first records, rows and rejected rows."""
    plan = run.planned()
    workspace = run.workspace
    result = result_of(run.dag_run, tasks_of(session, run.dag_run), workspace)
    final = result.manifest is not None
    for each in dict.fromkeys((key, plan.key_form.canonical(key))):
        found = find_item(workspace, plan, each, final=final)
        if found is not None:
            return _answer(found, translator)
    raise Refusal(404, "unknown_item", f"The plan of this run has no item {key[:100]!r}.")


def _answer(found: ItemDetails, translator: Translator) -> schemas.Item:
    latest = found.latest and translator.outcome(found.latest)
    earlier = tuple(map(translator.outcome, found.earlier))
    rejected = replace(found.rejected, first=tuple(map(translator.rejected, found.rejected.first)))
    return schemas.Item.model_validate(
        replace(found, latest=latest, earlier=earlier, rejected=rejected)
    )


@router.get(
    "/dags/{dag_id}/runs/{run_id}/suggestions",
    responses=refusals(404, 500, 503),
    operation_id="get_suggestions",
)
def get_suggestions(
    run: RunDep,
    prefix: Annotated[str, Query(min_length=1, max_length=1000, description="The typed text.")],
) -> schemas.Suggestions:
    """Return the first items whose key begins with a text, or whose row has it in its label.

    Of files, the key may contain it.
    """
    plan = run.planned()
    final = run.workspace.manifest.exists() and not is_active(run.dag_run)
    return schemas.Suggestions(
        suggestions=[
            schemas.Suggestion.model_validate(each)
            for each in suggest(run.workspace, plan, prefix, SUGGESTED, final=final)
        ]
    )


@router.get(
    "/dags/{dag_id}/runs/{run_id}/history",
    responses=refusals(404, 500, 503),
    operation_id="get_history",
)
def get_history(
    run: RunDep,
    session: SessionDep,
    key: Key,
) -> schemas.ItemHistory:
    """Return the outcome of an item in the runs of the DAG that have ended, the newest first."""
    plan = run.planned()
    runs = newest_first(past_runs(session, run))[:_RUNS]
    found = item_history(run.workspace, runs, key, plan.measure)
    return schemas.ItemHistory(
        measure=plan.measure, runs=[schemas.ItemInRun.model_validate(each) for each in found]
    )
