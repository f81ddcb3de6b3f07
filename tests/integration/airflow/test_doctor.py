"""``make doctor``: what each check finds, and the remedy of a failure."""

from __future__ import annotations

import fcntl
import json
import resource
from datetime import UTC, datetime, timedelta
from importlib import metadata

import pytest

from fanfold.errors import BadConfiguration

# Airflow and its providers warn about themselves.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def doctor(airflow_home, monkeypatch, tmp_path, s3_server, s3_client):
    """The module, in an installation in which nothing is wrong."""
    assert airflow_home.is_dir()
    from fanfold.airflow import doctor

    s3_client.create_bucket(Bucket="doctor")
    aws = {
        "conn_type": "aws",
        "login": s3_server.access_key,
        "password": s3_server.secret_key,
        "extra": {"endpoint_url": s3_server.url, "region_name": "us-east-1"},
    }
    sqlite = {"conn_type": "sqlite", "host": str(tmp_path / "tables.db")}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(aws))
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE_DEFAULT", json.dumps(sqlite))
    monkeypatch.setenv("FANFOLD_BUCKET", "doctor")
    monkeypatch.setenv("FANFOLD_SHARED_DIR", str(tmp_path))
    return doctor


def test_a_sound_installation_passes_and_each_failure_has_its_remedy(doctor, monkeypatch, capsys):
    assert doctor.main([]) == 0
    assert "object storage doctor at http" in " ".join(capsys.readouterr().out.split())
    with monkeypatch.context() as wrong:
        wrong.setenv("FANFOLD_BUCKET", "gone")
        wrong.setenv("AIRFLOW_CONN_NOTIFY_DEFAULT", '{"conn_type": "http"}')
        assert doctor.main([]) == 1
    said = capsys.readouterr().out
    assert "'notify_default' has the type 'http'; use apprise, slackwebhook, smtp" in said
    assert "'gone'" in said
    assert "3 failed" in said  # bucket, clock, notifications
    assert doctor.main(["--worker", "--mark", "other"]) == 1
    assert "mount the same file system" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("check", "wrong", "remedy"),
    [
        ("versions", (metadata, "version", lambda _: "0.1"), "duckdb.*installed: 0.1.*pip"),
        ("limits", (resource, "getrlimit", lambda _: (256, 256)), "open files is 256: raise it"),
        ("shared_directory", (fcntl, "flock", lambda *_: None), "locked twice. Use .* NFS 4.1"),
    ],
)
def test_a_wrong_machine_is_named(doctor, monkeypatch, check, wrong, remedy):
    """The wrong machine cannot be had: what the system answers is replaced."""
    monkeypatch.setattr(*wrong)
    with pytest.raises(BadConfiguration, match=remedy):
        getattr(doctor, f"check_{check}")()


def test_a_clock_that_differs_and_a_missing_pool_are_named(doctor, monkeypatch):
    class Behind(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) - timedelta(minutes=5)

    assert doctor.check_clock() == "the bucket: within 60 s"
    monkeypatch.setattr(doctor, "datetime", Behind)
    with pytest.raises(BadConfiguration, match=r"clock of the bucket differs by \+(299|30[01]) s"):
        doctor.check_clock()

    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.providers.standard.operators.empty import EmptyOperator
    from airflow.sdk import DAG

    with DAG("its_dag", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        EmptyOperator(task_id="waits", pool="narrow")
    monkeypatch.setattr(SerializedDagModel, "read_all_dags", lambda **_: {"its_dag": dag})
    with pytest.raises(BadConfiguration, match=r"no pool 'narrow'.*`airflow pools set narrow"):
        doctor.check_pools()
