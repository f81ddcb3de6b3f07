import contextlib
import socket
from dataclasses import astuple

import pytest
from sqlalchemy.engine import make_url

from fanfold.local.home import Home
from fanfold.local.settings import (
    LOOPBACK,
    Ports,
    airflow_environment,
    clean_environment,
    connections,
    of_shell,
    ports_from,
    reserve_ports,
)
from fanfold.local.stack import reserve

PORTS = Ports(20_001, 20_002, 20_003, 20_004)


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "home")


@pytest.fixture
def environment(home, tmp_path):
    return airflow_environment(home, home.prepare(), PORTS, dags=tmp_path / "dags", scheduled=False)


def test_stacks_that_start_together_and_other_programs_get_ports_of_their_own():
    """Also before a stack listens: the mark of its ports counts."""
    first = reserve_ports(20_300)
    second = reserve_ports(20_300)
    with socket.socket() as other:
        other.bind((LOOPBACK, 20_322))
        other.listen()
        third = reserve_ports(20_300)
    found = [(each.ports, each.taken) for each in (first, second, third)]
    assert found == [
        (ports_from(20_300), None),
        (ports_from(20_310), 20_300),
        (ports_from(20_330), 20_300),
    ]
    assert sorted(astuple(first.ports)) == [20_300, 20_301, 20_302, 20_303]
    for each in (first, second, third):
        for mark in each.marks:
            mark.close()
    again = reserve_ports(20_300)
    assert (again.ports, again.taken) == (first.ports, None)
    for mark in again.marks:
        mark.close()


def test_airflow_finds_its_database_below_a_folder_of_any_name(tmp_path):
    home = Home(tmp_path / 'it\'s "100" #é?x')
    environment = airflow_environment(home, home.prepare(), PORTS, dags=tmp_path, scheduled=False)
    address = make_url(environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"])
    assert (address.database, dict(address.query)) == (str(home.database), {})


def test_settings_of_another_airflow_or_cloud_stay_out():
    outer = {
        "AIRFLOW_HOME": "/elsewhere",
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        "AIRFLOW_CONN_AWS_DEFAULT": "aws://",
        "AWS_PROFILE": "work",
        "PYTHONPATH": "/elsewhere",
        "PATH": "/bin",
    }
    kept = clean_environment(outer)
    assert kept.pop("PATH") == "/bin"
    assert set(kept) == {"NO_PROXY", "no_proxy"}


def test_connections_variables_and_bucket_of_the_shell_reach_the_stack(environment):
    ours = {"AIRFLOW_CONN_WEIBO_DEFAULT": "http://api", "FANFOLD_BUCKET": "mine"}
    new = {
        "AIRFLOW_VAR_REGION": "cn",
        "AIRFLOW_CONN_STATIONS_DEFAULT": "http://stations",
        "FANFOLD_FILES_ALLOWED": "s3://mine/",
    }
    others = {"AIRFLOW__CORE__EXECUTOR": "CeleryExecutor", "FANFOLD_SHARED_DIR": "/elsewhere"}
    assert of_shell({**ours, **new, **others}) == {**ours, **new}
    assert not [name for name in environment if name.startswith("AIRFLOW_CONN_")], "UI loses"


def test_a_proxy_does_not_see_loopback_and_keeps_its_own_exceptions():
    kept = clean_environment({"HTTP_PROXY": "http://proxy:3128", "no_proxy": "intranet"})
    assert kept["HTTP_PROXY"] == "http://proxy:3128"
    assert kept["no_proxy"].split(",") == [LOOPBACK, "localhost", "intranet"]
    assert kept["NO_PROXY"].split(",") == [LOOPBACK, "localhost"]


def test_every_address_is_on_loopback(home, environment):
    made = connections(home, home.secrets(), PORTS)
    addresses = [
        environment["AIRFLOW__API__BASE_URL"],
        environment["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"],
        made["weibo_default"]["host"],
        made["mastodon_default"]["host"],
        made["aws_default"]["extra"]["endpoint_url"],
    ]
    assert environment["AIRFLOW__API__HOST"] == LOOPBACK
    assert all(address.startswith(f"http://{LOOPBACK}:2000") for address in addresses), addresses


def test_a_folder_keeps_the_ports_of_its_first_start(tmp_path):
    """Also if they were taken once: the simulator stays the same server."""

    def started(folder, port=None):
        reserved = reserve(Home(tmp_path / folder), port, said.append)
        with contextlib.ExitStack() as opened:
            for mark in reserved.marks:
                opened.enter_context(mark)
            return reserved.ports.airflow, opened.pop_all()

    said = []
    port, first = started("a", 20_400)
    assert (port, said) == (20_400, [])
    first.close()
    with started("b", 20_400)[1]:
        port, other = started("a")
        other.close()
        assert port == 20_410
        assert said == ["Port 20400 is taken: using 20410 to 20413"]
    port, again = started("a")
    again.close()
    assert port == 20_400
