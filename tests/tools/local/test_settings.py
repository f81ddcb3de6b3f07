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
    free_ports,
    of_shell,
)

PORTS = Ports(20_001, 20_002, 20_003, 20_004)


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "home")


@pytest.fixture
def environment(home, tmp_path):
    return airflow_environment(home, home.prepare(), PORTS, dags=tmp_path / "dags", scheduled=False)


def test_free_ports_are_distinct_and_for_a_home_the_same_while_they_are_free():
    """Ids of the simulator's accounts belong to its address."""
    numbers = astuple(free_ports("a home"))
    assert len(set(numbers)) == 4
    with socket.socket() as listener:
        listener.bind((LOOPBACK, numbers[0]))
        listener.listen()
        others = astuple(free_ports("a home"))
    assert numbers[0] not in others
    assert set(numbers[1:]) <= set(others)
    assert astuple(free_ports("a home")) == numbers


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
