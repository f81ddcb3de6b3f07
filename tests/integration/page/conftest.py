"""Airflow's API server with our plugin, users of each role, and finished runs."""

from __future__ import annotations

import json
import shutil
import socket
import threading
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
import requests

from fanfold.model import Status
from fanfold.stages.publishing import run_prefix
from fanfold.workspace.paths import Workspace

from .airflow_runs import NewRun, stored_dags
from .finished_run import File, write_run

HERE = Path(__file__).parent
DAG, OTHER = "order_lines", "other_pipeline"
PEOPLE = ("admin", "op", "user", "viewer", "nobody")
KEYS = [f"file-{number:02}.csv" for number in range(5)]
MISSING = "gone.csv"
SECRET = "sesame-4f1d"
"""Content of files beside the workspace, which no path may lead to."""

GET, POST = "GET", "POST"
RUN = "/api/dags/{dag_id}/runs/{run_id}"
REPORT = (GET, f"{RUN}/report")
REDRIVE = (POST, f"{RUN}/redrive")
STATIC = (GET, "/static/{version}/{name:path}")
DOCS = (GET, "/docs")
QUERIES = {
    "/run": f"?dag_id={DAG}",
    f"{RUN}/items": f"?key={KEYS[0]}",
    f"{RUN}/suggestions": "?prefix=f",
    f"{RUN}/history": f"?key={KEYS[0]}",
}
"""The query that a route requires."""
NAMES = {STATIC: "vendor/preact.js", (GET, f"{RUN}/files/{{name}}"): "orders.parquet"}


def pytest_collection_modifyitems(items):
    """Airflow's server and its imports warn; our own modules must not."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("ignore"))
            item.add_marker(pytest.mark.filterwarnings(r"error:::fanfold\..*"))


@pytest.fixture(scope="session")
def address(airflow_home):
    """Serve Airflow with its plugins on a free port, and yield the address."""
    assert airflow_home.is_dir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import uvicorn
        from airflow.api_fastapi.app import create_app

        app = create_app()
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    end = time.monotonic() + 60
    while not server.started:
        assert thread.is_alive()
        assert time.monotonic() < end
        time.sleep(0.01)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join()
    listener.close()


@dataclass
class Client:
    """A client of one user; ``token`` None is not logged in."""

    url: str
    token: str | None

    def __post_init__(self):
        self.session = requests.Session()
        self.session.trust_env = False
        if self.token:
            self.session.headers["Authorization"] = f"Bearer {self.token}"

    def get(self, path, **options):
        return self.send(GET, path, **options)

    def send(self, method, path, **options):
        options = {"timeout": 30, "allow_redirects": False, **options}
        return self.session.request(method, self.url + path, **options)


@pytest.fixture(scope="session")
def site(address, airflow_home):
    """Clients for a user of each role, and for one who is not logged in (``None``)."""
    path = airflow_home / "simple_auth_manager_passwords.json.generated"
    passwords = json.loads(path.read_text())
    clients = {None: Client(address, None)}
    for person in PEOPLE:
        login = {"username": person, "password": passwords[person]}
        answer = clients[None].send(POST, "/auth/token", json=login)
        assert answer.status_code == 201, answer.text
        clients[person] = Client(address, answer.json()["access_token"])
    yield clients
    for client in clients.values():
        client.session.close()


@dataclass
class Page:
    """The API of one run's page, for one user."""

    client: Client
    run_id: str
    workspace: Workspace
    dag_id: str = DAG

    @property
    def path(self):
        return f"/fanfold/api/dags/{self.dag_id}/runs/{self.run_id}"

    def get(self, part="", *, expect=200, **params):
        """Ask for a part of the page and return its JSON."""
        answer = self.client.get(f"{self.path}{part}", params=params)
        assert answer.status_code == expect, answer.text
        return answer.json()

    def redrive(self, *, expect=200, headers=None, **body):
        answer = self.client.send(POST, f"{self.path}/redrive", json=body, headers=headers)
        assert answer.status_code == expect, answer.text
        return answer.json()

    def dag_run(self):
        """Return the state of the run, and how often something of it was cleared."""
        from airflow.models.dagrun import DagRun

        where = [DagRun.run_id == self.run_id]
        [(state, clearings)] = rows(DagRun.state, DagRun.clear_number, where=where)
        return str(state), clearings

    def instances(self):
        """Return the states of all task instances by task and map index."""
        from airflow.models.taskinstance import TaskInstance

        columns = TaskInstance.task_id, TaskInstance.map_index, TaskInstance.state
        found = rows(*columns, where=[TaskInstance.run_id == self.run_id])
        return {(task, index): state for task, index, state in found}

    def set_states(self, state, tasks=(), **of_run):
        """Change the state of the run and of some tasks: ``{(task, map index): state}``."""
        from airflow.models.dagrun import DagRun
        from airflow.models.taskinstance import TaskInstance
        from airflow.utils.session import create_session
        from sqlalchemy import update

        run = {"run_id": self.run_id}
        with create_session() as session:
            session.execute(update(DagRun).filter_by(**run).values(state=state, **of_run))
            for key, task_state in dict(tasks).items():
                where = run | dict(zip(("task_id", "map_index"), key, strict=False))
                session.execute(update(TaskInstance).filter_by(**where).values(state=task_state))


@pytest.fixture
def page_of(site):
    """``page_of(workspace, person)``: the API of a run's page."""

    def get(workspace, person="user"):
        return Page(site[person], workspace.root.name, workspace)

    return get


@pytest.fixture(scope="session")
def dags(airflow_home):
    """The DAGs of ``dags/``, stored in Airflow's database; by id."""
    assert airflow_home.is_dir()
    return stored_dags()


@pytest.fixture
def sinks(s3_server, bucket_name, tmp_path, monkeypatch):
    """Point the shared directory and the bucket to new ones; return the shared directory."""
    connection = {
        "conn_type": "aws",
        "login": s3_server.access_key,
        "password": s3_server.secret_key,
        "extra": {"endpoint_url": s3_server.url, "region_name": "us-east-1"},
    }
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))
    monkeypatch.setenv("FANFOLD_SHARED_DIR", str(tmp_path))
    monkeypatch.setenv("FANFOLD_BUCKET", bucket_name)
    return tmp_path


@pytest.fixture
def new_run(dags, sinks):
    """``new_run(batches, …)``: make a run in Airflow's database; return its empty workspace."""
    return NewRun(dags, sinks)


@pytest.fixture
def finished_run(new_run, page_of, s3_client, bucket_name):
    """``finished_run(files, …)``: the API of the page of a finished run over these files."""

    def get(files, *, batch_size=3, passed=True, merged=None, **of_run):
        workspace = new_run(-(-len(files) // batch_size), **of_run)
        options = {"passed": passed, "merged": merged}
        manifest = write_run(workspace, files, batch_size=batch_size, **options)
        for entry in manifest.files if passed else ():
            path = workspace.dataset / entry.key
            key = run_prefix(manifest) + entry.key
            s3_client.put_object(Bucket=bucket_name, Key=key, Body=path.read_bytes())
        return page_of(workspace)

    return get


@pytest.fixture
def compared(finished_run, sinks):
    """A run of six files, one of them missing, with an earlier run, and secrets around its folder."""
    finished_run(dict.fromkeys(KEYS[:3], File()))
    files = dict.fromkeys(KEYS, File()) | {MISSING: File(status=Status.MISSING)}
    root = finished_run(files).workspace.root
    shutil.copytree(root, sinks / OTHER / "elsewhere")
    # Files of a run where a forged name would lead to, were it taken for a path.
    for folder in (sinks.parent, sinks, root.parent):
        shutil.copytree(root, folder, dirs_exist_ok=True)
        (folder / "report" / "report.html").write_text(SECRET)
        (folder / f"{SECRET}.txt").write_text(SECRET)
    return Workspace(root)


@pytest.fixture(scope="module")
def all_routes(address):
    """Method and path of each route of the application."""
    from fastapi.routing import APIRoute

    from fanfold.airflow.page.app import create_app

    assert address
    found = []
    for route in create_app().routes:
        assert isinstance(route, APIRoute), f"{route!r} has no rights of its own"
        found += [(method, route.path) for method in sorted(route.methods)]
    return tuple(found)


@dataclass
class Door:
    """Sends requests to each route of the application, about one run."""

    site: dict
    routes: tuple
    run_id: str
    workspace: Workspace
    root: Path
    keys: tuple = tuple(KEYS)
    secret: str = SECRET

    @property
    def of_a_run(self):
        return [route for route in self.routes if "{run_id}" in route[1]]

    def address(self, route, *, dag_id=DAG, run_id=None, name=None, version="v", query=None):
        """Return the URL of a route, with the query that it requires unless ``query`` is given."""
        assert route in self.routes, f"there is no {route}"
        path = route[1].replace("{name:path}", "{name}")
        values = {"dag_id": dag_id, "run_id": run_id or quote(self.run_id, safe="")}
        values["version"] = version
        if "{name}" in path:
            values["name"] = name or NAMES[route]
        query = QUERIES.get(route[1], "") if query is None else query
        return "/fanfold" + path.format(**values) + query

    def ask(self, route, person="user", *, json=None, data=None, headers=None, **where):
        if route[0] != GET and json is None and data is None:
            json = {"dry_run": True, "keys": self.keys} if route == REDRIVE else {}
        client = self.site[person]
        request = requests.Request(route[0], client.url, headers, json=json, data=data)
        prepared = client.session.prepare_request(request)
        # A URL that is passed to the request would have its dots and slashes normalised.
        prepared.url = client.url + self.address(route, **where)
        answer = client.session.send(prepared, timeout=30, allow_redirects=False)
        self.assert_safe(answer, route)
        return answer

    def statuses(self, routes, person="user", **options):
        return {route: self.ask(route, person, **options).status_code for route in routes}

    @staticmethod
    def policy_of(answer):
        """Return the directives of an answer's Content-Security-Policy."""
        parts = (part.split() for part in answer.headers["Content-Security-Policy"].split(";"))
        return {name: values for name, *values in parts}

    def assert_safe(self, answer, route=None):
        """Every answer has its security headers and leaks nothing."""
        policy = self.policy_of(answer)
        assert policy["default-src"] == ["'none'"]
        assert policy["frame-ancestors"] == ["'self'"]
        assert (policy["base-uri"], policy["form-action"]) == (["'none'"], ["'none'"])
        of_report = route == REPORT and answer.status_code == 200
        of_docs = route == DOCS and answer.status_code == 200
        unsafe = {(name, value) for name in policy for value in policy[name] if "'unsafe-" in value}
        allowed = {"script-src", "style-src"} if of_report else {"style-src"} if of_docs else set()
        assert unsafe == {(name, "'unsafe-inline'") for name in allowed}
        assert policy.get("sandbox") == (
            ["allow-scripts", "allow-downloads", "allow-modals"] if of_report else None
        )
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        if route != STATIC or answer.status_code != 200:
            assert answer.headers["Cache-Control"] == "no-store"
        assert not [name for name in answer.headers if name.lower().startswith("access-control-")]
        if answer.status_code >= 400:
            for inside in (self.secret, "Traceback", 'File "'):
                assert inside not in answer.text

    def state(self):
        """Return the rows of runs and tasks in Airflow's database, and the files of the run."""
        from airflow.models.dagrun import DagRun
        from airflow.models.taskinstance import TaskInstance

        tables = [sorted(map(repr, rows(*t.__table__.columns))) for t in (DagRun, TaskInstance)]
        files = {
            path.relative_to(self.root): path.stat().st_mtime_ns
            for path in self.root.rglob("*")
            if path.is_file()
        }
        return *tables, files, self.log()

    def log(self):
        """Return the clearings in Airflow's audit log: DAG, run and task."""
        from airflow.models.log import Log

        clearing = Log.event == "post_clear_task_instances"
        return rows(Log.dag_id, Log.run_id, Log.task_id, where=[clearing])


def rows(*columns, where=()):
    """Return rows of Airflow's database."""
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        return [tuple(row) for row in session.execute(select(*columns).where(*where))]


@pytest.fixture
def door(compared, site, all_routes, sinks):
    """All routes, asked about the shared run."""
    return Door(site, all_routes, compared.root.name, compared, sinks)
