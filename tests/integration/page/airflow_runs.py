"""Finished runs in Airflow's database, without running them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from fanfold.workspace.paths import Workspace

FOLDER = Path(__file__).parent / "dags"
DAG = "order_lines"
DAYS = itertools.count()


def stored_dags():
    """Store the DAGs of ``dags/`` in Airflow's database; return them by id."""
    from airflow.api_fastapi.common.dagbag import create_dag_bag
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db
    from airflow.utils.session import create_session

    bundle = "dags-folder"
    with create_session() as session:
        DagBundlesManager().sync_bundles_to_db(session=session)
    bag = BundleDagBag(dag_folder=FOLDER, bundle_path=FOLDER, bundle_name=bundle)
    assert not bag.import_errors
    sync_bag_to_db(bag, bundle, None)
    with create_session() as session:
        stored = create_dag_bag()
        return {name: stored.get_latest_version_of_dag(name, session=session) for name in bag.dags}


@dataclass
class NewRun:
    """Makes finished runs in Airflow's database, whose workspaces are under ``shared``."""

    dags: dict
    shared: Path

    def __call__(self, batches=0, state="success", states=(), dag_id=DAG):
        """Make a run with this number of mapped tasks; return its workspace, still empty.

        ``states`` has the states of tasks that are not ``success``, by task id or by (task id, map
        index).
        """
        from airflow.models.taskinstance import TaskInstance
        from airflow.models.taskmap import TaskMap
        from airflow.utils import timezone
        from airflow.utils.session import create_session
        from airflow.utils.types import DagRunTriggeredByType, DagRunType

        dag, now, states = self.dags[dag_id], timezone.utcnow(), dict(states)
        # Each has a logical date of its own, in order.
        date = now.replace(microsecond=0) - timedelta(days=1000 - next(DAYS))
        run_id = f"manual__{date.isoformat()}"
        with create_session() as session:
            run = dag.create_dagrun(
                run_id=run_id,
                logical_date=date,
                data_interval=(date, date),
                run_after=date,
                run_type=DagRunType.MANUAL,
                triggered_by=DagRunTriggeredByType.TEST,
                state="running",
                start_date=now,
                session=session,
            )
            for instance in run.get_task_instances(session=session):
                task_id = instance.task_id
                mapped = batches and task_id.startswith("batch.")
                for index in range(batches) if mapped else ():
                    session.add(
                        TaskInstance(
                            dag.get_task(task_id),
                            run_id=run_id,
                            map_index=index,
                            dag_version_id=instance.dag_version_id,
                        )
                    )
                if mapped:
                    session.delete(instance)
            session.flush()
            for instance in run.get_task_instances(session=session):
                key = (instance.task_id, instance.map_index)
                instance.state = states.get(key, states.get(instance.task_id, "success"))
                instance.try_number, instance.start_date, instance.end_date = 1, now, now
            run.state, run.end_date = state, now
            if batches:
                # How many instances there are, as Airflow notes when `plan` ends.
                of_plan = {"dag_id": dag_id, "task_id": "plan", "run_id": run_id, "map_index": -1}
                session.add(TaskMap(**of_plan, length=batches, keys=None))
        return Workspace.of_run(self.shared, dag_id, run_id)
