"""Airflow's api-server in a process of its own, and a large run in its database, for the page's bench."""

from __future__ import annotations

import gzip
import http.client
import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import page_workspace as making
from ground import ROOT
from measuring import Tree

from fanfold.airflow.graph import CONSOLIDATE, FETCH, PLAN, PROCESS
from fanfold.local.home import ADMIN, Home
from fanfold.local.settings import airflow_environment, clean_environment, free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from page_workspace import Made

START_S = 120
"""Seconds that the api-server may take to its first answer."""
PAST_RUNS = 30
"""Earlier runs of the DAG, for the page of all pipelines."""
FIRST_DATE = datetime(2026, 11, 1, 2, tzinfo=UTC)
"""The date that the first large run stands for; the next stands for the day after."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, and how long it took from the first byte sent to the last received.

    Attributes:
        seconds: That time.
        content: The body as it came, which may be compressed.
        compressed: Whether it is.
    """

    seconds: float
    content: bytes
    compressed: bool

    def plain(self) -> bytes:
        """Return the body, decompressed."""
        return gzip.decompress(self.content) if self.compressed else self.content

    def json(self) -> Any:
        """Return the document."""
        return json.loads(self.plain())


class Site:
    """The server as an administrator's browser sees it: one connection that stays open.

    Args:
        port: On loopback.
        process: The server.
    """

    def __init__(self, port: int, process: subprocess.Popen[bytes]) -> None:
        self.tree = Tree([process.pid])
        self.address = f"http://127.0.0.1:{port}"
        self.token = ""
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self._headers = {"Accept-Encoding": "gzip"}

    def log_in(self, password: str) -> None:
        """Ask for a token, and send it from now on."""
        login = {"username": ADMIN, "password": password}
        self.token = self.ask("/auth/token", body=login).json()["access_token"]
        self._headers["Authorization"] = f"Bearer {self.token}"

    def ask(
        self, path: str, params: Mapping[str, Any] | None = None, *, body: Any = None
    ) -> Answer:
        """Send a request and return its answer.

        Raises:
            RuntimeError: The answer is an error.
        """
        target = f"{path}?{urlencode(params)}" if params else path
        sent = None if body is None else json.dumps(body)
        kind = {} if sent is None else {"Content-Type": "application/json"}
        start = time.perf_counter()
        self._connection.request(
            "GET" if sent is None else "POST", target, sent, self._headers | kind
        )
        answer = self._connection.getresponse()
        content = answer.read()
        seconds = time.perf_counter() - start
        if answer.status >= 300:
            raise RuntimeError(f"{target}: {answer.status} {content[:500]!r}")
        return Answer(seconds, content, answer.getheader("Content-Encoding") == "gzip")

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class Airflow:
    """An Airflow of its own in a folder: SQLite, the embedded mode's settings, our DAGs and plugin.

    Its variables become this process's: whoever imports Airflow does so after this is made.
    """

    def __init__(self, folder: Path) -> None:
        self.home = Home(folder)
        secrets = self.home.prepare()
        self._password = secrets.admin_password
        ports = free_ports()
        self._port = ports.airflow
        self._environment = clean_environment(os.environ) | airflow_environment(
            self.home, secrets, ports, dags=ROOT / "dags", scheduled=False
        )
        os.environ.clear()
        # In this process Airflow would say a line for each run that is made.
        os.environ.update(self._environment | {"AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING"})
        for command in (("db", "migrate"), ("dags", "reserialize")):
            subprocess.run(
                self._command(*command), env=self._environment, check=True, capture_output=True
            )

    @staticmethod
    def _command(*arguments: str) -> list[str]:
        return [sys.executable, "-W", "ignore", "-m", "airflow", *arguments]

    @contextmanager
    def served(self) -> Iterator[Site]:
        """Start the api-server, yield it, and stop it."""
        log = self.home.log_of("api-server")
        with (
            log.open("wb") as output,
            subprocess.Popen(
                self._command("api-server"),
                env=self._environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            ) as process,
        ):
            site = Site(self._port, process)
            try:
                self._wait(site, process, log)
                site.log_in(self._password)
                yield site
            finally:
                site.close()
                process.terminate()

    def _wait(self, site: Site, process: subprocess.Popen[bytes], log: Path) -> None:
        end = time.monotonic() + START_S
        while True:
            try:
                site.ask("/api/v2/version")
            except OSError:
                if process.poll() is not None or time.monotonic() > end:
                    said = log.read_text("utf-8", "replace")[-2000:]
                    raise RuntimeError(f"The api-server did not start: {said}") from None
                site.close()
                time.sleep(0.1)
            else:
                return

    def add_run(self, run_id: str, date: datetime, made: Made) -> None:
        """Put a run into Airflow's database as a scheduler leaves it at its end."""
        from airflow.models.dagbag import DBDagBag
        from airflow.utils.session import create_session

        with create_session() as session:
            dag = DBDagBag().get_latest_version_of_dag(making.DAG, session=session)
            _add_run(session, dag, run_id, date)
            _expand(session, dag, run_id, made)
            _end(session, run_id, made)

    def add_past_runs(self, made: Made) -> None:
        """Add runs of earlier dates, of which only Airflow's database and the history know."""
        from airflow.models.dagbag import DBDagBag
        from airflow.utils.session import create_session

        with create_session() as session:
            dag = DBDagBag().get_latest_version_of_dag(making.DAG, session=session)
            for ago, run_id in enumerate(making.past_runs(made, PAST_RUNS), start=1):
                _add_run(session, dag, run_id, FIRST_DATE - timedelta(days=ago))

    def set_state(self, run_id: str, state: str) -> None:
        """Set the state of the run, as if it were at work or had ended."""
        from airflow.models.dagrun import DagRun
        from airflow.utils.session import create_session
        from sqlalchemy import update

        with create_session() as session:
            session.execute(update(DagRun).where(DagRun.run_id == run_id).values(state=state))


def _add_run(session: Any, dag: Any, run_id: str, date: datetime) -> None:
    from airflow.utils.types import DagRunTriggeredByType, DagRunType
    from sqlalchemy import update

    run = dag.create_dagrun(
        run_id=run_id,
        logical_date=date,
        data_interval=(date, date),
        run_after=date,
        run_type=DagRunType.SCHEDULED,
        triggered_by=DagRunTriggeredByType.TEST,
        state="success",
        start_date=date,
        session=session,
    )
    run.end_date = date + timedelta(minutes=10)
    tasks = type(run.task_instances[0])
    session.execute(
        update(tasks)
        .where(tasks.run_id == run_id)
        .values(state="success", start_date=date, end_date=run.end_date, try_number=1)
    )


def _expand(session: Any, dag: Any, run_id: str, made: Made) -> None:
    """Map fetch and process over the batches with Airflow's own code."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.taskmap import TaskMap
    from sqlalchemy import update

    session.add(TaskMap(making.DAG, PLAN, run_id, -1, made.plan.batches, None))
    mapped = TaskInstance.task_id.in_([FETCH, PROCESS])
    session.execute(
        update(TaskInstance).where(TaskInstance.run_id == run_id, mapped).values(state=None)
    )
    session.flush()
    for task_id in (FETCH, PROCESS):
        TaskMap.expand_mapped_task(dag.get_task(task_id), run_id, session=session)


def _end(session: Any, run_id: str, made: Made) -> None:
    """Give all task instances of the run their ends, and each batch its label."""
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy import select, update

    from fanfold.planning import batch_refs

    start, end = made.manifest.moments
    labels = [ref.label for ref in batch_refs(made.workspace, made.plan)]
    for instance in session.scalars(select(TaskInstance).where(TaskInstance.run_id == run_id)):
        # The gate let the run pass, with failures; a fetch with failures is failed.
        instance.state = "failed" if instance.task_id == FETCH else "success"
        instance.start_date, instance.end_date = start, end
        instance.try_number = 3 if instance.task_id == FETCH else 1
        if instance.map_index >= 0:
            instance._rendered_map_index = labels[instance.map_index]  # noqa: SLF001 - as Airflow
        if instance.task_id == CONSOLIDATE:
            instance.start_date = start + timedelta(seconds=1)
    session.execute(
        update(DagRun)
        .where(DagRun.run_id == run_id)
        .values(start_date=start - timedelta(seconds=5), end_date=datetime.now(UTC))
    )
