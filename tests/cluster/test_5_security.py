"""Secrets, users, ports, networks and roles of the cluster are restricted to what each part needs."""

from __future__ import annotations

import pytest
import requests
from driver import PIPELINE

from fanfold.cluster import environment
from fanfold.cluster.compose import CommandFailed, docker

_AIRFLOW = "AIRFLOW_DB_PASSWORD AIRFLOW_FERNET_KEY AIRFLOW_JWT_SECRET"
_TRYOUT = "SOURCE_TOKEN S3_ACCESS_KEY S3_SECRET_KEY"
_QUEUE = "REDIS_PASSWORD CELERY_DB_PASSWORD"
OWN = {
    "postgres": "POSTGRES_PASSWORD AIRFLOW_DB_PASSWORD CELERY_DB_PASSWORD WAREHOUSE_DB_PASSWORD",
    "redis": "REDIS_PASSWORD",
    "airflow-init": f"{_AIRFLOW} {_TRYOUT} WAREHOUSE_DB_PASSWORD AIRFLOW_ADMIN_PASSWORD",
    "airflow-apiserver": f"{_AIRFLOW} AIRFLOW_API_SECRET_KEY",
    "airflow-scheduler": f"{_QUEUE} AIRFLOW_DB_PASSWORD AIRFLOW_JWT_SECRET",
    "airflow-dag-processor": _AIRFLOW,
    "airflow-triggerer": _AIRFLOW,
    "airflow-worker": _QUEUE,
    "simulator": "SOURCE_TOKEN",
    "s3": "S3_ACCESS_KEY S3_SECRET_KEY",
}
"""The secrets of each service; others have none."""
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


@pytest.mark.quick
def test_a_container_has_the_secrets_of_its_service_only(cluster, secrets):
    for container in cluster.compose.containers():
        details = docker("inspect", container["ID"])
        found = {name for name, value in secrets.items() if value in details}
        assert found == set(OWN.get(container["Service"], "").split()), container["Name"]


@pytest.mark.quick
@pytest.mark.usefixtures("undisturbed")
def test_no_secret_is_in_an_image_or_a_log(cluster, secrets):
    logs = cluster.compose.run("logs", "--no-color")
    assert len(logs) > 10_000
    for image in {each["Image"] for each in cluster.compose.containers()}:
        logs += docker("history", "--no-trunc", image) + docker("inspect", image)
    assert not [name for name, value in secrets.items() if value in logs]


@pytest.mark.quick
@pytest.mark.usefixtures("undisturbed")
def test_no_secret_is_in_a_task_log_or_in_the_shared_directory(cluster, secrets):
    script = 'grep -rlF -e "$1" /var/lib/fanfold/logs /var/lib/fanfold/shared || test $? = 1'
    patterns = "\n".join(secrets.values())
    assert cluster.compose.execute("airflow-worker", "sh", "-c", script, "sh", patterns) == ""
    exists = 'test -n "$(find /var/lib/fanfold/logs -name "*.log" | head -1)"'
    cluster.compose.execute("airflow-worker", "sh", "-c", exists)


@pytest.mark.quick
def test_no_process_is_root_or_can_gain_privileges(cluster):
    for container in cluster.containers():
        # Docker's init is the first process, as the same user.
        processes = docker("top", container["Id"], "-eo", "pid,uid").splitlines()[1:]
        assert "0" not in {line.split()[1] for line in processes}, container["Name"]
        lines = docker("exec", container["Id"], "cat", "/proc/1/status").splitlines()
        status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
        assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0, container["Name"]
        assert status["NoNewPrivs"] == "1", container["Name"]


@pytest.mark.quick
def test_the_root_file_system_is_read_only(cluster):
    for container in cluster.containers():
        with pytest.raises(CommandFailed, match=r"[Rr]ead-only"):
            docker("exec", "--user", "0", container["Id"], "touch", "/usr/x")


@pytest.mark.quick
def test_one_port_is_published_and_on_loopback(cluster):
    published = {
        (container["Service"], port["TargetPort"], port["URL"])
        for container in cluster.compose.containers()
        for port in container["Publishers"] or ()
        if port["PublishedPort"]
    }
    assert published == {("airflow-apiserver", 8080, "127.0.0.1")}


@pytest.mark.quick
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
def test_a_service_reaches_only_what_it_needs(cluster, service, host, port, reached):
    command = ["python", "-c", CONNECT, host, str(port)]
    if reached:
        cluster.compose.execute(service, *command)
    else:
        with pytest.raises(CommandFailed, match="exited with 7"):
            cluster.compose.execute(service, *command)


@pytest.mark.quick
def test_a_worker_cannot_read_airflows_database(cluster, secrets):
    script = (
        "import psycopg, sys; psycopg.connect(host='postgres', user='celery', password=sys.argv[1],"
        " dbname=sys.argv[2]).close()"
    )
    connect = ("python", "-c", script, secrets["CELERY_DB_PASSWORD"])
    cluster.compose.execute("airflow-worker", *connect, "celery")
    with pytest.raises(CommandFailed, match="permission denied for database"):
        cluster.compose.execute("airflow-worker", *connect, "airflow")


def _log_in(cluster, name, password):
    """Return a function that sends a request as an account and returns the status."""
    url = cluster.compose.variables["FANFOLD_URL"]
    account = {"username": name, "password": password}
    answer = requests.post(f"{url}/auth/token", json=account, timeout=30)
    headers = {"Authorization": f"Bearer {answer.json().get('access_token')}"}

    def send(method, path, body=None):
        sent = requests.request(method, url + path, json=body, headers=headers, timeout=30)
        return sent.status_code

    return send


def test_each_role_has_its_permissions(cluster, undisturbed):
    run = f"/api/v2/dags/{PIPELINE}/dagRuns/{undisturbed[0]}"
    page = f"/fanfold/api/dags/{PIPELINE}/runs/{undisturbed[0]}"
    requested = [("GET", run), ("GET", page), ("PATCH", run, {"note": "seen"})]
    requested += [("POST", "/api/v2/pools", {"name": "small", "slots": 1})]
    answers = {}
    for role in ("Viewer", "User", "Op"):
        password = f"a-password-of-{role}"
        cluster.compose.execute(
            "airflow-apiserver",
            *("airflow", "users", "create", "--username", role, "--password", password),
            *("--firstname", role, "--lastname", role, "--email", f"{role}@localhost"),
            *("--role", role),
        )
        send = _log_in(cluster, role, password)
        answers[role] = [send(*each) for each in requested]
    assert answers["Viewer"] == [200, 200, 403, 403]
    assert answers["User"] == [200, 200, 200, 403]
    assert answers["Op"] == [200, 200, 200, 201]


def test_a_wrong_password_and_an_anonymous_request_are_refused(cluster):
    assert _log_in(cluster, "admin", "guessed")("GET", "/api/v2/dags") == 401
    url = cluster.compose.variables["FANFOLD_URL"]
    assert requests.get(f"{url}/api/v2/dags", timeout=30).status_code == 401
