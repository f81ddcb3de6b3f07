"""A pipeline in ``dag.test()``, with the simulator, an S3 server and a database."""

from __future__ import annotations

import itertools
import json
import sys
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fanfold.model import Counts
from fanfold.simulator.process import running

DAGS = Path(__file__).parents[2] / "dags"
DAYS = itertools.count(1)
"""Each run of a session has a logical date of its own, after the current time."""


def authored(dag_id, folder=DAGS):
    """Parse the file of a DAG and return the DAG."""
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(str(folder / f"{dag_id}.py"))
    assert not bag.import_errors
    return bag.dags[dag_id]


@pytest.fixture
def weibo(airflow_home):
    """The DAG of the first pipeline."""
    assert airflow_home.is_dir()
    return authored("weibo_user_profiles")


@pytest.fixture(scope="session")
def simulator_process():
    with running() as simulator:
        yield simulator


@pytest.fixture
def simulator(simulator_process):
    simulator_process.reset()
    return simulator_process


@dataclass
class Finished:
    """The result of a run."""

    dag: object
    run: object
    states: dict
    labels: dict
    errors: dict
    workspace: Path

    @property
    def state(self):
        return str(self.run.state)

    @property
    def manifest(self):
        return json.loads((self.workspace / "manifest.json").read_text("utf-8"))

    @property
    def counts(self):
        return Counts(**self.manifest["counts"])

    def error(self, task_id):
        """The message of the error that ended a task."""
        return str(self.errors[task_id])


@dataclass
class Pipeline:
    """A pipeline and the servers that it talks to."""

    simulator: object
    bucket: str
    client: object
    shared: Path
    warehouse: Path
    patch: pytest.MonkeyPatch
    dags: Path = DAGS

    @property
    def inputs(self):
        """The folder of items files."""
        folder = self.shared / "inputs"
        folder.mkdir(exist_ok=True)
        return folder

    def objects(self):
        """The keys in the bucket."""
        found = self.client.list_objects_v2(Bucket=self.bucket).get("Contents", [])
        return sorted(entry["Key"] for entry in found)

    def read(self, key):
        return self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()

    def connect(self, name, **fields):
        self.patch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(fields))

    def run(self, dag_id="weibo_user_profiles", *, retries=0, date=None, **conf):
        """Run a DAG to its end in this process; tasks are not retried by default.

        A run of the same logical date is deleted, and made again under its id.
        """
        # dag.test() keeps the conf of a run in the DAG object: each run parses its own.
        dag = authored(dag_id, self.dags)
        # With one, dag.test() of Airflow 3.3.2 fails at the end of a successful run: it looks for its row.
        dag.deadline = None
        errors = {}

        def note(context):
            errors[context["ti"].task_id] = context["exception"]

        # The tasks of the serialised DAG carry no callbacks: these are the authored ones.
        for task in dag.task_dict.values():
            getattr(task, "partial_kwargs", vars(task)).update(
                retries=retries,
                retry_delay=timedelta(0),
                retry_exponential_backoff=0,
                on_failure_callback=[note],
            )
        # Without a logical date, dag.test() clears the tasks of all runs of the DAG.
        today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        date = date or today + timedelta(days=next(DAYS))
        run = dag.test(run_after=date, logical_date=date, run_conf=conf)
        return self._finished(dag, run, errors)

    def clear(self, finished, *task_ids):
        """Clear tasks of a run, and run them again one after the other, as ``dag.test()`` does."""
        from airflow.models.taskinstance import clear_task_instances
        from airflow.sdk.definitions.dag import _run_task
        from airflow.utils.session import create_session

        finished.errors.clear()
        for task_id in task_ids:
            with create_session() as session:
                found = finished.run.get_task_instances(session=session)
                instances = [instance for instance in found if instance.task_id == task_id]
                clear_task_instances(instances, session)
                for instance in instances:
                    instance.try_number += 1
            for instance in instances:
                _run_task(ti=instance, task=finished.dag.task_dict[task_id])
        return self._finished(finished.dag, finished.run, finished.errors)

    def _finished(self, dag, run, errors):
        instances = run.get_task_instances()
        return Finished(
            dag=dag,
            run=run,
            states={(ti.task_id, ti.map_index): str(ti.state) for ti in instances},
            labels={(ti.task_id, ti.map_index): ti.rendered_map_index for ti in instances},
            errors=errors,
            workspace=self.shared / dag.dag_id / run.run_id,
        )


def _forget_assets():
    """Make those of other buckets inactive, as the scheduler does: there is one URI for a name."""
    from airflow.models.asset import AssetActive
    from airflow.utils.session import create_session
    from sqlalchemy import delete

    with create_session() as session:
        session.execute(delete(AssetActive))


@pytest.fixture
def pipeline(airflow_home, simulator, s3_server, s3_client, bucket_name, tmp_path, monkeypatch):
    """The pipelines with fresh sinks; connections come from the environment, as on a worker."""
    # dag.test() sleeps for a second while no task is ready; here it looks again at once.
    sleep = time.sleep
    monkeypatch.setattr(
        time,
        "sleep",
        lambda seconds: (
            None
            if sys._getframe(1).f_globals["__name__"] == "airflow.sdk.definitions.dag"
            else sleep(seconds)
        ),
    )
    assert airflow_home.is_dir()
    shared = tmp_path / "shared"
    shared.mkdir()
    monkeypatch.setenv("FANFOLD_SHARED_DIR", str(shared))
    monkeypatch.setenv("FANFOLD_BUCKET", bucket_name)
    made = Pipeline(
        simulator, bucket_name, s3_client, shared, tmp_path / "warehouse.db", monkeypatch
    )
    _forget_assets()
    made.connect("weibo_default", conn_type="http", host=simulator.url, password=simulator.token)
    made.connect("mastodon_default", conn_type="http", host=simulator.url)
    made.connect(
        "aws_default",
        conn_type="aws",
        login=s3_server.access_key,
        password=s3_server.secret_key,
        extra={"endpoint_url": s3_server.url, "region_name": "us-east-1"},
    )
    made.connect("warehouse_default", conn_type="sqlite", host=str(made.warehouse))
    return made


@pytest.fixture
def webhook():
    """A web server: ``.received``, the bodies; ``.status``, its answer; ``.port``."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.server.received.append(json.loads(body))
            self.send_response(self.server.status)
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.received, server.status, server.port = [], 200, server.server_port
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()
