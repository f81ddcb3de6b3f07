"""Nothing listens where it should not, nobody is root, and secrets stay where they belong."""

from __future__ import annotations

import json
import subprocess

import pytest

from fanfold.cluster import environment
from fanfold.cluster.api import Airflow, Denied
from fanfold.cluster.compose import Refused
from fanfold.cluster.runs import PIPELINE

OWN = {
    "postgres": {
        *("POSTGRES_PASSWORD", "AIRFLOW_DB_PASSWORD", "CELERY_DB_PASSWORD"),
        "WAREHOUSE_DB_PASSWORD",
    },
    "redis": {"REDIS_PASSWORD"},
    "airflow-init": {
        *("AIRFLOW_DB_PASSWORD", "WAREHOUSE_DB_PASSWORD", "AIRFLOW_FERNET_KEY"),
        *("AIRFLOW_JWT_SECRET", "AIRFLOW_ADMIN_PASSWORD"),
        *("SOURCE_TOKEN", "S3_ACCESS_KEY", "S3_SECRET_KEY"),
    },
    "airflow-apiserver": {
        *("AIRFLOW_DB_PASSWORD", "AIRFLOW_FERNET_KEY", "AIRFLOW_JWT_SECRET"),
        "AIRFLOW_API_SECRET_KEY",
    },
    "airflow-scheduler": {
        *("AIRFLOW_DB_PASSWORD", "AIRFLOW_JWT_SECRET"),
        *("REDIS_PASSWORD", "CELERY_DB_PASSWORD"),
    },
    "airflow-dag-processor": {"AIRFLOW_DB_PASSWORD", "AIRFLOW_FERNET_KEY", "AIRFLOW_JWT_SECRET"},
    "airflow-triggerer": {"AIRFLOW_DB_PASSWORD", "AIRFLOW_FERNET_KEY", "AIRFLOW_JWT_SECRET"},
    "airflow-worker": {"REDIS_PASSWORD", "CELERY_DB_PASSWORD"},
    "simulator": {"SOURCE_TOKEN"},
    "s3": {"S3_ACCESS_KEY", "S3_SECRET_KEY"},
    **dict.fromkeys(("statsd", "prometheus", "tls"), frozenset()),
}
"""Which secrets a component is given."""
CONNECT = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=3).close()
except OSError:
    sys.exit(7)
"""


@pytest.fixture
def secrets(cluster):
    return {name: cluster.compose.variables[name] for name in environment.SECRETS}


def test_a_part_is_told_its_own_secrets_and_no_other(cluster, secrets):
    for container in cluster.compose.containers():
        told = cluster.compose.docker("inspect", container.id)
        holds = {name for name, value in secrets.items() if value in told}
        assert holds == OWN[container.service], container.name


def test_no_secret_is_in_an_image_or_a_log(cluster, secrets):
    logs = cluster.compose.run("logs", "--no-color")
    assert len(logs) > 10_000
    assert not [name for name, value in secrets.items() if value in logs]
    for image in {each.image for each in cluster.compose.containers()}:
        told = cluster.compose.docker("history", "--no-trunc", image)
        told += cluster.compose.docker("inspect", image)
        assert not [name for name, value in secrets.items() if value in told]


def test_no_task_log_and_no_file_of_a_run_holds_a_secret(cluster, secrets):
    worker = cluster.one("airflow-worker")
    patterns = "\n".join(secrets.values())
    script = 'grep -rlF -e "$1" /var/lib/fanfold/logs /var/lib/fanfold/shared || test $? = 1'
    found = cluster.compose.execute(worker, "sh", "-c", script, "sh", patterns)
    assert found == ""
    there = 'test -n "$(find /var/lib/fanfold/logs -name "*.log" | head -1)"'
    cluster.compose.execute(worker, "sh", "-c", there)


def test_no_process_of_any_part_is_root_or_may_become_it(cluster):
    for container in cluster.containers():
        # Docker's own init is the first process, as the same user.
        told = cluster.compose.docker("top", container.id, "-eo", "pid,uid").splitlines()[1:]
        users = {line.split()[1] for line in told}
        assert users, container.name
        assert "0" not in users, container.name
        status = cluster.compose.execute(container, "cat", "/proc/1/status")
        told = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert int(told["CapEff"], 16) == int(told["CapBnd"], 16) == 0, container.name
        assert told["NoNewPrivs"] == "1", container.name


def test_no_part_can_write_into_its_image(cluster):
    for container in cluster.containers():
        with pytest.raises(Refused, match=r"[Rr]ead-only"):
            cluster.compose.execute(container, "touch", "/usr/x", user="0")


def test_one_port_is_published_and_on_loopback(cluster):
    published = {}
    for container in cluster.containers():
        (told,) = json.loads(cluster.compose.docker("inspect", container.id))
        ports = told["NetworkSettings"]["Ports"] or {}
        published |= {
            (container.service, inside): {each["HostIp"] for each in outside}
            for inside, outside in ports.items()
            if outside
        }
    assert published == {("airflow-apiserver", "8080/tcp"): {"127.0.0.1"}}


@pytest.mark.parametrize(
    ("service", "host", "port", "reached"),
    [
        ("airflow-worker", "postgres", 5432, True),
        ("airflow-worker", "redis", 6379, True),
        ("airflow-apiserver", "redis", 6379, False),
        ("airflow-triggerer", "redis", 6379, False),
        ("airflow-triggerer", "s3", 9000, False),
        ("simulator", "postgres", 5432, False),
        ("simulator", "airflow-apiserver", 8080, False),
        ("s3", "redis", 6379, False),
    ],
)
def test_a_part_reaches_what_it_needs_and_nothing_else(cluster, service, host, port, reached):
    command = ["python", "-c", CONNECT, host, str(port)]
    if reached:
        cluster.compose.execute(cluster.one(service), *command)
    else:
        with pytest.raises(Refused, match="ended with 7"):
            cluster.compose.execute(cluster.one(service), *command)


def test_a_worker_cannot_read_the_database_of_airflow(cluster, secrets):
    script = (
        "import psycopg, sys; psycopg.connect(host='postgres', user='celery', password=sys.argv[1],"
        " dbname=sys.argv[2]).close()"
    )
    worker = cluster.one("airflow-worker")
    password = secrets["CELERY_DB_PASSWORD"]
    cluster.compose.execute(worker, "python", "-c", script, password, "celery")
    with pytest.raises(Refused, match="permission denied for database"):
        cluster.compose.execute(worker, "python", "-c", script, password, "airflow")


def test_without_its_secrets_it_does_not_start(cluster, tmp_path):
    empty = tmp_path / "env"
    empty.write_text("COMPOSE_PROJECT_NAME=fanfold-test\n", encoding="utf-8")
    given = dict(cluster.compose.environ)
    for name in environment.SECRETS:
        given.pop(name, None)
    command = [str(empty) if each.endswith("env") else each for each in cluster.compose.command]
    ended = subprocess.run(
        [*command, "config"], env=given, capture_output=True, text=True, check=False
    )
    assert ended.returncode != 0
    assert "make cluster-up" in ended.stderr


@pytest.fixture(scope="module")
def people(cluster):
    """An account for each role of Airflow's."""
    found = {}
    for role in ("Op", "User", "Viewer"):
        name, password = role.lower(), f"a-password-of-{role}"
        cluster.compose.execute(
            cluster.one("airflow-apiserver"),
            *("airflow", "users", "create", "--username", name, "--password", password),
            *("--firstname", name, "--lastname", name, "--email", f"{name}@localhost"),
            *("--role", role),
        )
        found[role] = Airflow(cluster.api.url, name, password)
    return found


def _status(api, method, path, body=None):
    try:
        api.call(method, path, body=body)
    except Denied as error:
        return error.status
    return 200


def test_roles_may_do_what_they_are_for(people, undisturbed):
    run = f"/api/v2/dags/{PIPELINE}/dagRuns/{undisturbed[0]}"
    page = f"/fanfold/api/dags/{PIPELINE}/runs/{undisturbed[0]}"
    asked = [("GET", run), ("GET", page), ("PATCH", run, {"note": "seen"})]
    asked += [("POST", "/api/v2/pools", {"name": "small", "slots": 1})]
    answers = {role: [_status(api, *each) for each in asked] for role, api in people.items()}
    assert answers["Viewer"] == [200, 200, 403, 403]
    assert answers["User"] == [200, 200, 200, 403]
    assert answers["Op"] == [200, 200, 200, 200]


def test_a_wrong_password_and_a_stranger_are_refused(cluster):
    wrong = Airflow(cluster.api.url, "admin", "guessed")
    assert _status(wrong, "GET", "/api/v2/dags") == 401
    with pytest.raises(Denied) as refused:
        cluster.api._send("GET", "/api/v2/dags", None, None)
    assert refused.value.status == 401
