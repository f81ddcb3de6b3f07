"""The link from a task in Airflow's UI to what it did on the run page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.sdk import BaseOperatorLink

from fanfold.airflow.graph import CONSOLIDATE, FETCH, PROCESS, REPORT, TAG

if TYPE_CHECKING:
    from airflow.sdk.types import TaskInstanceKey

ROUTE = "fanfold-items"
"""Name of the run page in the addresses of Airflow's UI."""
_TABS = {CONSOLIDATE: "#dataset", REPORT: "#report"}


class ItemsLink(BaseOperatorLink):
    """A link on each task of a pipeline; computed in the api-server, so that tasks send nothing."""

    name = "Items"

    def get_link(self, operator: Any, *, ti_key: TaskInstanceKey) -> str:
        """Return the path of the run page, at the batch, dataset or report; "" in other DAGs."""
        if TAG not in operator.dag.tags:
            return ""
        from airflow.api_fastapi.app import API_ROOT_PATH

        place = _TABS.get(ti_key.task_id, "")
        if ti_key.task_id in {FETCH, PROCESS} and ti_key.map_index >= 0:
            place = f"#batches={ti_key.map_index}"
        return f"{API_ROOT_PATH}{run_path(ti_key.dag_id, ti_key.run_id)}{place}"


def run_path(dag_id: str, run_id: str) -> str:
    """Return the path of a run's page under the address of Airflow's UI."""
    return f"dags/{quote(dag_id)}/runs/{quote(run_id)}/plugin/{ROUTE}"
