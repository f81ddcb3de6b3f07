"""What a cluster's connections are made of."""

from __future__ import annotations

import json

import pytest

from fanfold.errors import BadConfiguration
from fanfold.simulator.sample import CONNECTIONS, FUNCTIONS

# Airflow and its providers warn about themselves.
pytestmark = pytest.mark.filterwarnings("ignore")

WAREHOUSE = {"WAREHOUSE_URL": "postgresql://warehouse:pw@postgres:5432/warehouse"}
TRYOUT = {"SOURCE_TOKEN": "token", "S3_ACCESS_KEY": "key", "S3_SECRET_KEY": "secret"}


@pytest.fixture
def connections(airflow_home):
    assert airflow_home.is_dir()
    from fanfold.airflow.installation import connections

    return connections


def test_without_the_tryout_only_the_warehouse_is_there(connections):
    made = connections({**WAREHOUSE, **TRYOUT, "FANFOLD_PROFILES": "metrics"})
    assert set(made) == {"warehouse_default"}
    assert made["warehouse_default"]["host"] == "postgres"
    assert made["warehouse_default"]["password"] == "pw"


def test_the_tryout_has_its_source_and_storage(connections):
    made = connections({**WAREHOUSE, **TRYOUT, "FANFOLD_PROFILES": "metrics,tryout"})
    assert set(made) == {"warehouse_default", "aws_default", FUNCTIONS, *CONNECTIONS}
    assert json.loads(made[FUNCTIONS]["extra"])["endpoint_url"] == made["weibo_default"]["host"]


def test_a_missing_secret_is_named(connections):
    with pytest.raises(BadConfiguration, match="SOURCE_TOKEN"):
        connections({**WAREHOUSE, "FANFOLD_PROFILES": "tryout"})
