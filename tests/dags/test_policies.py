"""Rules for every DAG of this project; each message says how to fix the file."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

# Airflow and its providers warn about themselves.
pytestmark = pytest.mark.filterwarnings("ignore")

DAGS = Path(__file__).parents[2] / "dags"
FILES = sorted(path.stem for path in DAGS.glob("*.py") if path.stem != "fanfold_maintenance")
"""Those of pipelines."""
STEPS = {
    *("preflight", "read_items", "plan", "batch.fetch", "batch.process"),
    *("consolidate", "publish", "load", "report"),
}


@pytest.fixture(scope="module", params=FILES)
def dag(request, airflow_home):
    assert airflow_home.is_dir()
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(str(DAGS / f"{request.param}.py"))
    assert not bag.import_errors
    return bag.dags[request.param]


def test_it_has_a_name_documentation_an_owner_tags_and_a_schedule_without_catch_up(dag):
    assert Path(dag.fileloc).stem == dag.dag_id, "name the file after its DAG"
    assert len(dag.doc_md or "") > 300, "write a doc string at the top of the DAG file"
    assert dag.description, "give it a description"
    assert dag.owner == "fanfold", "pass **policies.PIPELINE"
    assert "fanfold" in dag.tags, "tag it with 'fanfold' and its source"
    assert len(dag.tags) > 1, "tag it with 'fanfold' and its source"
    assert not dag.catchup, "pass **policies.PIPELINE"
    assert dag.max_active_runs == 1, "pass **policies.PIPELINE"
    assert dag.dagrun_timeout, "pass **policies.PIPELINE"
    told = dag.on_success_callback, dag.on_failure_callback
    assert all(told), "pass **policies.PIPELINE"
    timetable = type(dag.timetable).__name__
    allowed = {"CronTriggerTimetable", "AssetTriggeredTimetable", "NullTimetable"}
    assert timetable in allowed, "use policies.daily(), an Asset or None"
    assert dag.start_date is None, "with a start_date, Airflow starts a run of yesterday at once"


def test_every_task_is_retried_and_ends_before_redis_redelivers_its_message(dag):
    from fanfold.airflow import policies

    settings = (DAGS.parent / "config" / "cluster.env").read_text("utf-8")
    redelivered = float(re.search(r"__VISIBILITY_TIMEOUT=(\d+)", settings)[1])
    for task in dag.tasks:
        found = task.retries, type(task.retry_policy)
        wanted = policies.UNAVAILABLE_RETRIES, policies.RetryByError
        assert found == wanted, f"{task.task_id}: pass **policies.PIPELINE"
        assert task.execution_timeout, f"{task.task_id}: give it an execution_timeout"
        assert task.execution_timeout.total_seconds() < redelivered, task.task_id


def test_every_task_has_an_owner_and_says_what_to_do_after_a_failure(dag):
    """Those of one DAG alone: in their doc string or the table of the DAG's page."""
    for task in dag.tasks:
        assert task.owner == "fanfold", f"{task.task_id}: pass **policies.PIPELINE"
        assert task.doc_md, f"{task.task_id}: give it a doc string"
        if task.task_id in STEPS:
            assert "**After a failure**" in task.doc_md, task.task_id


def test_fetch_takes_the_pool_of_its_connection(dag):
    """Each pool is created by the installation."""
    from fanfold.airflow.connections import source_connection
    from fanfold.airflow.installation import POOLS
    from fanfold.loader import load_pipeline
    from fanfold.sources import Api, Function

    pipeline = load_pipeline(dag.get_task("read_items").op_args[0]).pipeline
    has_pool = isinstance(pipeline.source, (Api, Function))
    pool = source_connection(pipeline) if has_pool else "default_pool"
    assert dag.get_task("batch.fetch").pool == pool, "pass pool= to tasks.batches()"
    assert pool in {*POOLS, "default_pool"}


def test_publish_and_load_announce_the_assets_of_their_dag(dag):
    found = [{each.name for each in dag.get_task(name).outlets} for name in ("publish", "load")]
    names = ("", "_by_date"), ("_tables", "_loaded_by_date")
    assert found == [{f"{dag.dag_id}{name}" for name in each} for each in names]


def test_consolidate_waits_for_each_task_of_a_batch(dag):
    """With a task that it does not wait for, a clearing of that task alone would run both at once."""
    found = dag.get_task("consolidate").upstream_task_ids
    assert found == {"plan", "batch.fetch", "batch.process"}, "use tasks.batches()"


def test_every_param_explains_itself(dag):
    from fanfold.airflow.params import ADVANCED

    shown = [name for name in dag.params if not dag.params.get_param(name).schema.get("section")]
    assert shown[1:] == ["items_uri", "dry_run"], "pass section=ADVANCED; the list comes first"
    for name, param in dag.params.items():
        schema = dag.params.get_param(name)
        assert schema.description, f"Param {name} needs a description"
        assert schema.schema.get("title"), f"Param {name} needs a title"
        section = schema.schema.get("section")
        assert name in shown or section == ADVANCED, f"Param {name} needs section=ADVANCED"
        assert param is None or "type" in schema.schema, f"Param {name} needs a type"


def test_only_a_source_with_history_may_be_backfilled(dag):
    from fanfold.loader import load_pipeline

    source = load_pipeline(dag.get_task("read_items").op_args[0]).pipeline.source
    allowed = dag.allowed_run_types is None or "backfill" in dag.allowed_run_types
    wanted = "PIPELINE" if source.history else "SNAPSHOT"
    assert allowed is source.history, f"pass **policies.{wanted}"


def test_its_steps_have_their_names(dag):
    assert set(dag.task_ids) >= STEPS


def test_every_leaf_is_downstream_of_the_tolerance_gate(dag):
    """A run is green when its leaves are: each must come after the tolerance gate."""
    gate = dag.get_task("consolidate").get_flat_relative_ids(upstream=False)
    assert {leaf.task_id for leaf in dag.leaves} <= gate


def test_tables_are_loaded_after_the_dataset_is_published(dag):
    """A table must not be ahead of ``latest.json``; and ``publish`` may merge once more."""
    downstream = dag.get_task("publish").get_flat_relative_ids(upstream=False)
    assert "load" in downstream, "wire folded >> published >> [load, report]"


@pytest.mark.parametrize(("last", "is_past"), [(None, False), (timedelta(days=3), True)])
def test_a_schedule_starts_with_the_next_date_or_after_a_run_with_the_latest_missed_one(
    airflow_home, last, is_past
):
    """The last scheduled run, or that of a backfill: Airflow makes no difference."""
    assert airflow_home.is_dir()
    from airflow.sdk.timezone import coerce_datetime
    from airflow.serialization.decoders import decode_timetable
    from airflow.serialization.encoders import encode_timetable
    from airflow.timetables.base import DataInterval, TimeRestriction

    from fanfold.airflow import policies

    now = datetime.now(UTC)
    timetable = decode_timetable(encode_timetable(policies.daily(hour=(now.hour - 1) % 24)))
    latest = DataInterval.exact(coerce_datetime(now - last)) if last else None
    due = timetable.next_dagrun_info(
        last_automated_data_interval=latest,
        restriction=TimeRestriction(earliest=None, latest=None, catchup=False),
    ).run_after
    assert (due < now) is is_past
    assert abs(due - now) < timedelta(days=1)
