"""Forged, cross-site and malformed requests, and the security headers of each answer."""

from __future__ import annotations

import itertools
import re
import shutil
from urllib.parse import quote

import pytest

DAG = "order_lines"
GET, POST = "GET", "POST"
RUN = "/api/dags/{dag_id}/runs/{run_id}"
REDRIVE = (POST, f"{RUN}/redrive")
DOWNLOAD = (GET, f"{RUN}/files/{{name}}")
STATIC = (GET, "/static/{version}/{name:path}")
REPORT = (GET, f"{RUN}/report")

FORGED = {
    "up": "..",
    "up, encoded": "%2e%2e",
    "two up": "..%2f..",
    "two up, slashes": "../..",
    "up, encoded twice": "%252e%252e",
    "up, backslash": "..%5c..",
    "here": ".",
    "absolute": "%2fetc%2fpasswd",
    "absolute, slashes": "/etc/passwd",
    "home, and every DAG": "~",
    "nothing": "%00",
    "nothing at the end": f"{DAG}%00",
    "no text": "%ff%fe",
    "half a character": "%ed%a0%80",
    "long": "x" * 10_000,
    "a pattern": "%25",
    "SQL": "'%20OR%201=1--",
    "another DAG": "other_pipeline",
}
FORGED_NAMES = {
    "up": "../app.py",
    "up, encoded": "%2e%2e/app.py",
    "up, all encoded": "%2e%2e%2fapp.py",
    "down and up": "vendor/../../app.py",
    "down and up, to a file that there is": "vendor/../page.css",
    "here": "./page.css",
    "doubled": "vendor//preact.js",
    "backslash": "..%5capp.py",
    "absolute": "/etc/passwd",
    "absolute, encoded": "%2fetc%2fpasswd",
    "a folder": "vendor",
    "nothing": "page.css%00",
    "beside the files": "../manifest.json",
    "beside the workspace": "../../../{secret}.txt",
    "long": "x" * 10_000,
}


@pytest.mark.parametrize("part", ["dag_id", "run_id"])
def test_a_forged_id_is_not_found(door, part):
    for (what, forged), route in itertools.product(FORGED.items(), door.of_a_run):
        answer = door.ask(route, **{part: forged})
        assert answer.status_code in {404, 422}, (what, route, answer.text[:200])


def test_a_zero_byte_never_reaches_the_database(door):
    """SQLite takes one; of Postgres it is an error, and the answer would be 500."""
    from airflow import settings
    from sqlalchemy import event

    asked = []

    def note(_connection, _cursor, _statement, parameters, _context, _many):
        asked.append(repr(parameters))

    event.listen(settings.engine, "before_cursor_execute", note)
    try:
        for route in door.of_a_run:
            for part in ("dag_id", "run_id"):
                answer = door.ask(route, **{part: "a%00"})
                assert (answer.status_code, answer.json()["code"]) == (404, "no_run")
        for page in ("/run", "/pipelines"):
            assert door.ask((GET, page), query="?dag_id=a%00").status_code == 404
    finally:
        event.remove(settings.engine, "before_cursor_execute", note)
    assert asked
    assert [parameters for parameters in asked if "\\x00" in parameters] == []


def test_a_forged_file_name_or_version_is_not_found(door):
    for route, (what, name) in itertools.product((STATIC, DOWNLOAD), FORGED_NAMES.items()):
        answer = door.ask(route, name=name.replace("{secret}", door.secret))
        assert answer.status_code in {404, 422}, (what, answer.text[:200])
    for version in ("..", "%2e%2e", "~", "vendor", "%00", "x" * 10_000):
        for name in ("app.py", "static/page.css", "schemas/run.py"):
            assert door.ask(STATIC, version=version, name=name).status_code == 404, (version, name)


@pytest.fixture
def named_run(door):
    """Make a run in Airflow's database, as Airflow itself could have it; it is removed again."""
    from airflow.models.dag import DagModel
    from airflow.models.dagrun import DagRun
    from airflow.utils import timezone
    from airflow.utils.session import create_session
    from sqlalchemy import delete, insert, select

    assert door.run_id
    made = []

    def make(run_id, dag_id=DAG):
        with create_session() as session:
            if dag_id != DAG:
                like = session.scalars(select(DagModel).where(DagModel.dag_id == DAG)).one()
                session.add(DagModel(dag_id=dag_id, bundle_name=like.bundle_name))
                session.flush()
            session.execute(
                insert(DagRun).values(
                    dag_id=dag_id,
                    run_id=run_id,
                    run_type="manual",
                    run_after=timezone.utcnow(),
                    state="success",
                    log_template_id=1,
                )
            )
        made.append((dag_id, run_id))

    yield make
    with create_session() as session:
        for dag_id, run_id in made:
            session.execute(delete(DagRun).filter_by(dag_id=dag_id, run_id=run_id))
            if dag_id != DAG:
                session.execute(delete(DagModel).filter_by(dag_id=dag_id))


def test_a_run_whose_name_is_a_path_has_a_workspace_of_its_own(door, named_run):
    """Airflow takes such names; the folders that they would lead to hold files of a run."""
    own = [route for route in door.of_a_run if route[0] == GET and route != (GET, RUN)]
    for run_id in ("..", ".", "~"):
        named_run(run_id)
        for route in own:
            answer = door.ask(route, run_id=run_id)
            assert answer.status_code == 404, (route, answer.text[:200])
        summary = door.ask((GET, RUN), run_id=run_id).json()
        assert (summary["run_id"], summary["tally"]) == (run_id, None)


def test_a_run_of_a_dag_without_the_tag_is_not_found(door, named_run):
    """Though its workspace is there."""
    named_run("a_run", dag_id="untagged")
    shutil.copytree(door.workspace.root, door.root / "untagged" / "a_run", dirs_exist_ok=True)
    for route in door.of_a_run:
        answer = door.ask(route, dag_id="untagged", run_id="a_run")
        assert (answer.status_code, answer.json()["code"]) == (404, "no_pipeline"), route
    listed = door.ask((GET, "/api/pipelines")).json()["pipelines"]
    assert "untagged" not in {pipeline["dag_id"] for pipeline in listed}


def test_a_cross_site_request_cannot_redrive_and_the_page_and_programs_may(door, site):
    from airflow.api_fastapi.auth.managers.base_auth_manager import COOKIE_NAME_JWT_TOKEN

    before = door.state()
    cookie = f"{COOKIE_NAME_JWT_TOKEN}={site['user'].token}"
    body = {"dry_run": False, "keys": door.keys}
    for origin in ("cross-site", "same-site", "nonsense"):
        headers = {"Cookie": cookie, "Sec-Fetch-Site": origin}
        answer = door.ask(REDRIVE, None, json=body, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "cross_site")
    assert door.state() == before
    for headers in ({"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}, {}):
        assert door.ask(REDRIVE, headers=headers).status_code == 200, headers


JSON = "application/json"
CHOICE = b'{"dry_run": false, "keys": ["gone.csv"]}'


MALFORMED = [
    ("application/x-www-form-urlencoded", b"dry_run=false"),
    ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="keys"'),
    ("text/plain", CHOICE),
    (None, CHOICE),
    # Anyone who may edit one DAG could make the audit log say that he cleared another.
    (JSON, b'{"dry_run": false, "dag_id": "other", "run_id": "other", "task_id": "other"}'),
    (JSON, b'{"dry_run": false, "task_id": {"a": 1}}'),
    (JSON, b'{"dry_run": false, "keys": "all"}'),
    # Airflow's audit log takes these for a dry run.
    *((JSON, b'{"dry_run": %s, "keys": ["x"]}' % no) for no in (b'"false"', b'"off"', b"0")),
    (JSON, b"NaN"),
    (JSON, b'{"dry_run": NaN}'),
    (JSON, b'{"dry_run": -Infinity}'),
    (JSON, b'{"keys": [1e999]}'),
    (JSON, b'{"\\ud800": 1}'),
    (JSON, b'{"groups": [{"\\ud800": 1}]}'),
    (JSON, b"[" * 100_000),
    (JSON, b'"\xff"'),
]


def test_a_form_or_a_malformed_body_changes_nothing_and_is_not_in_the_audit_log(door):
    before = door.state()
    for kind, body in MALFORMED:
        answer = door.ask(REDRIVE, data=body, headers={"Content-Type": kind} if kind else {})
        assert answer.status_code in {400, 415, 422}, (body[:99], answer.text)
        assert answer.json()
    assert door.state() == before


def test_static_files_are_cached_by_version_and_privately(door):
    page = door.ask((GET, "/run")).text
    versions = set(re.findall("static/([0-9a-f]+)/", page))
    assert len(versions) == 1
    controls = {"an older one": "no-cache", versions.pop(): "private, max-age=31536000, immutable"}
    for version, control in controls.items():
        assert door.ask(STATIC, version=quote(version)).headers["Cache-Control"] == control


def test_answers_are_safe_while_the_shared_directory_is_unavailable(door, monkeypatch):
    for away in (str(door.root / "gone"), "", str(door.workspace.manifest)):
        monkeypatch.setenv("FANFOLD_SHARED_DIR", away)
        for route in door.of_a_run:
            answer = door.ask(route)
            assert (answer.status_code, answer.json()["code"]) == (503, "workspace_away"), route
        pages = [route for route in door.routes if route not in door.of_a_run]
        assert door.statuses(pages) == dict.fromkeys(pages, 200)


def test_a_damaged_file_is_named_as_the_cause(door):
    for name, routes in {
        "plan.json": [(GET, RUN), (GET, f"{RUN}/batches"), REDRIVE],
        "manifest.json": [(GET, RUN), (GET, f"{RUN}/files"), DOWNLOAD],
        "failures.json": [(GET, f"{RUN}/failures")],
        "dataset/orders.parquet": [
            (GET, f"{RUN}/{part}") for part in ("columns", "comparison", "comparison.csv")
        ],
        "../.history.json": [(GET, f"{RUN}/{part}") for part in ("runs", "history", "comparison")],
    }.items():
        path = door.workspace.root / name
        whole = path.read_bytes()
        for content, route in itertools.product(("not JSON", "[{}]", "null"), routes):
            path.write_text(content)
            answer = door.ask(route)
            found = (answer.status_code, answer.json()["code"])
            assert found == (500, "damaged"), (name, content, route)
        path.write_bytes(whole)


def test_an_unexpected_error_discloses_nothing(door, monkeypatch):
    def broken(_):
        raise RuntimeError(door.secret)

    # The real thing cannot be had: it would be a bug.
    monkeypatch.setattr("fanfold.airflow.page.summary.scheduler_is_alive", broken)
    # The server closes the connection after such an answer, and the next test would meet its end.
    answer = door.ask((GET, RUN), headers={"Connection": "close"})
    assert answer.status_code == 500
    assert "RuntimeError" not in answer.text


def test_the_report_is_sandboxed_without_an_origin(door):
    policy = door.policy_of(door.ask(REPORT))
    assert policy["sandbox"] == ["allow-scripts", "allow-downloads", "allow-modals"]
    assert "connect-src" not in policy  # then default-src holds: none
