"""A task in Airflow's UI has a link to what it did on the run page."""

from __future__ import annotations

from urllib.parse import quote


def test_each_task_leads_to_its_tab_or_batch(compared, site):
    run_id = quote(compared.root.name)
    page = f"/dags/order_lines/runs/{run_id}/plugin/fanfold-items"

    def link(task_id, map_index=-1):
        path = f"/api/v2/dags/order_lines/dagRuns/{run_id}/taskInstances/{task_id}/links"
        answer = site["viewer"].get(path, params={"map_index": map_index})
        return answer.json()["extra_links"]["Items"]

    assert link("plan") == page
    assert link("batch.fetch", 1) == link("batch.process", 1) == f"{page}#batches=1"
    assert link("consolidate") == f"{page}#dataset"
    assert link("report") == f"{page}#report"


def test_tasks_of_other_dags_have_none_and_no_task_stores_one(airflow_home, dags):
    """Links of an operator are stored by each of its tasks, in a request; those of all operators are not."""
    from airflow import plugins_manager

    assert airflow_home.is_dir()
    [link] = plugins_manager.get_global_operator_extra_links()
    task = dags["order_lines"].get_task("plan")
    assert not task.operator_extra_links
    tags, task.dag.tags = task.dag.tags, set()
    assert link.get_link(task, ti_key=None) == ""
    task.dag.tags = tags
