"""What a cluster's connections are made of."""

from __future__ import annotations

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
    assert made[FUNCTIONS]["extra"]["endpoint_url"] == made["weibo_default"]["host"]


def test_a_missing_secret_is_named(connections):
    with pytest.raises(BadConfiguration, match="SOURCE_TOKEN"):
        connections({**WAREHOUSE, "FANFOLD_PROFILES": "tryout"})


@pytest.fixture
def session(airflow_home):
    """Airflow's database without connections."""
    assert airflow_home.is_dir()
    from airflow.models.connection import Connection
    from airflow.utils.session import create_session
    from sqlalchemy import delete

    with create_session() as session:
        session.execute(delete(Connection))
        yield session
        session.execute(delete(Connection))


@pytest.mark.parametrize(
    "edited",
    [
        {"host": "https://weibo.example"},
        {"password": "rotated"},
        {"extra": '{"requests_per_hour": 5}'},
        {"login": "me", "port": 1},
        {"description": ""},
        {"extra": "not encrypted with this key", "is_extra_encrypted": True},
    ],
)
def test_a_sample_connection_follows_its_server_until_someone_edits_it(session, edited):
    from airflow.models.connection import Connection
    from sqlalchemy import select, update

    from fanfold.airflow.installation import SAMPLE, ensure_connections

    def written(port):
        fields = {"conn_type": "http", "host": f"http://127.0.0.1:{port}", "password": "token"}
        extra = {"endpoint_url": f"http://127.0.0.1:{port}", "region_name": "here"}
        return ensure_connections(
            {"weibo_default": fields, "aws_default": {**fields, "extra": extra}}
        )

    def rows():
        session.commit()
        session.expire_all()
        return {each.conn_id: each for each in session.scalars(select(Connection))}

    session.add(Connection(conn_id="mine", conn_type="http", host="https://mine.example"))
    session.commit()
    assert written(1) == written(2) == ["weibo_default", "aws_default"]
    assert {each.host for each in rows().values()} == {"https://mine.example", "http://127.0.0.1:2"}
    assert rows()["aws_default"].description.startswith(SAMPLE)
    values = {
        getattr(Connection, f"_{name}", getattr(Connection, name)): value
        for name, value in edited.items()
    }
    session.execute(update(Connection).where(Connection.conn_id == "weibo_default").values(values))
    session.commit()
    before = session.execute(select(Connection.__table__).order_by("conn_id")).all()
    assert written(3) == ["aws_default"]
    session.commit()
    after = session.execute(select(Connection.__table__).order_by("conn_id")).all()
    assert [row for row in before if row in after] == before[1:]
    assert ensure_connections({}) == []
    assert set(rows()) == {"mine", "weibo_default"}


def test_missing_pools_are_created_and_edited_ones_are_kept(session):
    from airflow.models.pool import Pool
    from sqlalchemy import select, update

    from fanfold.airflow.installation import POOLS, ensure_pools

    assert ensure_pools() == list(POOLS)
    session.execute(update(Pool).where(Pool.pool == "weibo_default").values(slots=2))
    session.execute(Pool.__table__.delete().where(Pool.pool == "tushare_default"))
    session.commit()
    assert ensure_pools() == ["tushare_default"]
    slots = dict(session.execute(select(Pool.pool, Pool.slots)).tuples().all())
    assert (slots["weibo_default"], slots["mastodon_default"]) == (2, 32)
