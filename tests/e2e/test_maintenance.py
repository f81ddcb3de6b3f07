"""The maintenance DAG on Airflow's scheduler, which knows which runs are queued."""

from __future__ import annotations

import os
import time

from fanfold.workspace.files import write_json
from fanfold.workspace.paths import Workspace

DAG = "function_map"


def test_a_queued_run_keeps_its_workspace_and_one_that_airflow_does_not_know_goes(stack):
    """Two are queued: one of them is not needed as the newest."""
    stack.wait_for_dag(DAG)
    stack.api("PATCH", f"/api/v2/dags/{DAG}", json={"is_paused": True})
    names = "queued:1", "queued~2", "gone"
    old = {name: Workspace.of_run(stack.home.shared, DAG, name) for name in names}
    for name, workspace in old.items():
        write_json(workspace.plan, {})
        aged = time.time() - 100 * 86_400
        os.utime(workspace.plan, (aged, aged))
        if name != "gone":
            stack.trigger(DAG, run_id=name)
    conf = {"dry_run": False, "keep_days": 90, "keep_runs": 1}
    run_id = stack.trigger("fanfold_maintenance", conf)
    assert stack.wait("fanfold_maintenance", run_id, timeout=120) == "success"
    assert [name for name in names if old[name].root.exists()] == ["queued:1", "queued~2"]
    for name in ("queued:1", "queued~2"):
        assert stack.run_state(DAG, name) == "queued"
        stack.api("DELETE", f"/api/v2/dags/{DAG}/dagRuns/{name}")
    stack.api("PATCH", f"/api/v2/dags/{DAG}", json={"is_paused": False})
