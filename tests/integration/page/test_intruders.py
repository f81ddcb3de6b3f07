"""Forged, cross-site and malformed requests, and the security headers of each answer."""

from __future__ import annotations

import http.client
import itertools
import json
import re
import shutil
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

import pytest

DAG = "weibo_user_profiles"
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
    "another DAG": "mastodon_user_profiles",
}
FORGED_NAMES = {
    "up": "../app.py",
    "up, encoded": "%2e%2e/app.py",
    "up, all encoded": "%2e%2e%2fapp.py",
    "down and up": "vendor/../../schemas.py",
    "down and up, to a file that there is": "vendor/../page.css",
    "here": "./page.css",
    "doubled": "vendor//uplot.css",
    "backslash": "..%5capp.py",
    "absolute": "/etc/passwd",
    "absolute, encoded": "%2fetc%2fpasswd",
    "a folder": "vendor",
    "nothing": "page.css%00",
    "beside the files": "../manifest.json",
    "beside the workspace": "../../../{secret}.txt",
    "long": "x" * 10_000,
}


@dataclass
class Raw:
    """An answer to a request that was sent unchanged."""

    status_code: int
    headers: dict
    content: bytes

    @property
    def text(self):
        return self.content.decode("utf-8", "replace")


def raw(door, method, path, person="user"):
    """Send a path unchanged: HTTP clients normalise dots and slashes."""
    parts = urlsplit(door.site[person].url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
    headers = {"Authorization": f"Bearer {door.site[person].token}"}
    body = None
    if method == POST:
        headers["Content-Type"] = "application/json"
        body = json.dumps({"dry_run": True, "keys": door.keys})
    try:
        connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body.encode() if body else None)
        answer = connection.getresponse()
        found = Raw(answer.status, answer.headers, answer.read())
    finally:
        connection.close()
    return found


@pytest.mark.parametrize("part", ["dag_id", "run_id"])
def test_a_forged_id_is_not_found(door, part):
    for (what, forged), route in itertools.product(FORGED.items(), door.of_a_run):
        answer = raw(door, route[0], door.address(route, **{part: forged}))
        door.assert_safe(answer, route)
        assert answer.status_code in {404, 422}, (what, route, answer.text[:200])
        assert door.secret not in answer.text, (what, route)


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
                answer = raw(door, route[0], door.address(route, **{part: "a%00"}))
                assert (answer.status_code, json.loads(answer.text)["code"]) == (404, "no_run")
        for page in ("/run", "/pipelines"):
            assert door.ask((GET, page), query="?dag_id=a%00").status_code == 404
    finally:
        event.remove(settings.engine, "before_cursor_execute", note)
    assert asked
    assert [parameters for parameters in asked if "\\x00" in parameters] == []


@pytest.mark.parametrize("route", [STATIC, DOWNLOAD], ids=["static", "files"])
def test_a_forged_file_name_is_not_found(door, route):
    for what, name in FORGED_NAMES.items():
        answer = raw(door, GET, door.address(route, name=name.replace("{secret}", door.secret)))
        door.assert_safe(answer, route)
        assert answer.status_code in {404, 422}, (what, answer.text[:200])
        assert door.secret not in answer.text


@pytest.mark.parametrize("version", ["..", "%2e%2e", "~", "vendor", "%00", "x" * 10_000])
def test_a_forged_file_version_is_not_found(door, version):
    for name in ("app.py", "static/page.css", "schemas.py"):
        answer = raw(door, GET, door.address(STATIC, version=version, name=name))
        door.assert_safe(answer, STATIC)
        assert answer.status_code == 404, (name, answer.text[:200])


@pytest.fixture
def new_run(door):
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


@pytest.mark.parametrize("run_id", ["..", ".", "~"])
def test_a_run_whose_name_is_a_path_has_a_workspace_of_its_own(door, new_run, run_id):
    """Airflow takes such names; the folders that they would lead to hold files of a run."""
    new_run(run_id)
    own = [route for route in door.of_a_run if route not in {(GET, RUN), REDRIVE}]
    for route in own:
        answer = raw(door, route[0], door.address(route, run_id=run_id))
        assert answer.status_code == 404, (route, answer.text[:200])
        assert door.secret not in answer.text
    summary = json.loads(raw(door, GET, door.address((GET, RUN), run_id=run_id)).text)
    assert (summary["run_id"], summary["tally"], summary["previous"]) == (run_id, None, None)


def test_a_run_of_a_dag_without_the_tag_is_not_found(door, new_run):
    """Though its workspace is there."""
    new_run("a_run", dag_id="untagged")
    shutil.copytree(door.workspace.root, door.root / "untagged" / "a_run", dirs_exist_ok=True)
    for route in door.of_a_run:
        answer = door.ask(route, dag_id="untagged", run_id="a_run")
        assert (answer.status_code, answer.json()["code"]) == (404, "no_pipeline"), route
    listed = door.ask((GET, "/api/pipelines")).json()["pipelines"]
    assert "untagged" not in {pipeline["dag_id"] for pipeline in listed}


@pytest.mark.parametrize("origin", ["cross-site", "same-site", "nonsense"])
def test_a_cross_site_request_cannot_redrive(door, site, origin):
    from airflow.api_fastapi.auth.managers.base_auth_manager import COOKIE_NAME_JWT_TOKEN

    before = door.state()
    cookie = f"{COOKIE_NAME_JWT_TOKEN}={site['user'].token}"
    headers = {"Cookie": cookie, "Sec-Fetch-Site": origin}
    answer = door.ask(REDRIVE, None, json={"dry_run": False, "keys": door.keys}, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "cross_site")
    assert door.state() == before


@pytest.mark.parametrize("origin", ["same-origin", "none", None])
def test_the_page_and_programs_may_redrive(door, origin):
    answer = door.ask(REDRIVE, headers={"Sec-Fetch-Site": origin} if origin else {})
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/x-www-form-urlencoded", b"dry_run=false"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="dry_run"',
        ),
        ("text/plain", b'{"dry_run": false, "keys": ["7"]}'),
        (None, b'{"dry_run": false, "keys": ["7"]}'),
    ],
)
def test_a_form_submission_cannot_redrive(door, kind, body):
    before = door.state()[:3]
    answer = door.ask(REDRIVE, data=body, headers={"Content-Type": kind} if kind else {})
    assert answer.status_code in {415, 422}, answer.text
    assert door.state()[:3] == before


@pytest.mark.parametrize(
    "body",
    [
        {"dry_run": False, "dag_id": "another", "run_id": "another", "task_id": "another"},
        {"dry_run": False, "task_id": {"a": 1}},
        {"dry_run": False, "keys": "all"},
    ],
)
def test_a_malformed_body_is_refused_and_not_in_the_audit_log(door, body):
    """Else anyone who may edit one DAG could make the log say that he cleared another."""
    before = door.log()
    answer = door.ask(REDRIVE, json=body)
    assert answer.status_code == 422, answer.text
    assert door.log() == before


@pytest.mark.parametrize("no", ["false", "off", 0])
def test_dry_run_accepts_no_value_but_a_json_boolean(door, no):
    """What Airflow's audit log takes for a dry run would otherwise be none."""
    before = door.state()
    answer = door.ask(REDRIVE, json={"dry_run": no, "keys": ["no such item"]})
    assert answer.status_code == 422, answer.text
    assert door.state() == before


@pytest.mark.parametrize(
    "body",
    [
        b"NaN", b'{"dry_run": NaN}', b'{"dry_run": -Infinity}', b'{"keys": [1e999]}',
        b'{"\\ud800": 1}', b'{"groups": [{"\\ud800": 1}]}', b"[" * 100_000, b'"\xff"',
    ],
)  # fmt: skip
def test_json_at_its_limits_is_refused(door, body):
    answer = door.ask(REDRIVE, data=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in {400, 422}, answer.text
    assert answer.json()


def test_static_files_are_cached_by_version_and_privately(door):
    page = door.ask((GET, "/run")).text
    versions = set(re.findall("static/([0-9a-f]+)/", page))
    assert len(versions) == 1
    controls = {"an older one": "no-cache", versions.pop(): "private, max-age=31536000, immutable"}
    for version, control in controls.items():
        assert door.ask(STATIC, version=quote(version)).headers["Cache-Control"] == control


def test_no_other_site_may_read_the_answers(door, site):
    """A preflight is refused like any other method, and no answer names an origin."""
    headers = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "POST"}
    for route in door.routes:
        answer = site["user"].send("OPTIONS", door.address(route), headers=headers)
        assert answer.status_code == 405, route
        door.assert_safe(answer)
        assert door.ask(route, headers={"Origin": headers["Origin"]}).status_code < 405


def test_answers_are_safe_while_the_shared_directory_is_unavailable(door, monkeypatch):
    for away in (str(door.root / "gone"), "", str(door.workspace.manifest)):
        monkeypatch.setenv("FANFOLD_SHARED_DIR", away)
        for route in door.of_a_run:
            answer = door.ask(route)
            assert (answer.status_code, answer.json()["code"]) == (503, "workspace_away"), route
        pages = [route for route in door.routes if route not in door.of_a_run]
        assert door.statuses(pages) == dict.fromkeys(pages, 200)


@pytest.mark.parametrize(
    ("name", "routes"),
    [
        ("plan.json", [(GET, RUN), (GET, f"{RUN}/batches"), REDRIVE]),
        ("manifest.json", [(GET, RUN), (GET, f"{RUN}/files"), DOWNLOAD]),
        ("failures.json", [(GET, f"{RUN}/failures")]),
        ("comparison.json", [(GET, RUN), (GET, f"{RUN}/comparison")]),
    ],
)
@pytest.mark.parametrize("content", ["not JSON", "[{}]", "null"])
def test_a_damaged_file_is_named_as_the_cause(door, name, routes, content):
    path = door.workspace.root / name
    whole = path.read_bytes() if path.exists() else None
    path.write_text(content)
    try:
        for route in routes:
            answer = door.ask(route)
            assert (answer.status_code, answer.json()["code"]) == (500, "damaged"), route
    finally:
        path.unlink() if whole is None else path.write_bytes(whole)


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
    answer = door.ask(REPORT)
    policy = door.policy_of(answer)
    assert policy["sandbox"] == ["allow-scripts"]
    assert "connect-src" not in policy  # then default-src holds: none
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
