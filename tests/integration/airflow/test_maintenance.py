"""The rules of a run of the maintenance DAG: its form, or the Variable."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from fanfold.errors import BadConfiguration

# Airflow and its providers warn about themselves.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("airflow_home")]


def options(run_type, **conf):
    from airflow.sdk.definitions.param import ParamsDict

    from fanfold.airflow import maintenance

    declared = ParamsDict(maintenance.params())
    params = ParamsDict(maintenance.params())
    params.update(conf)
    context = {
        "params": params.dump(),
        "dag": SimpleNamespace(params=declared),
        "dag_run": SimpleNamespace(run_type=run_type),
    }
    return maintenance.Options.of(context)


def test_a_scheduled_run_removes_only_what_the_variable_permits(monkeypatch):
    assert options("scheduled").dry_run
    monkeypatch.setenv("AIRFLOW_VAR_FANFOLD_RETENTION", '{"dry_run": false, "keep_days": 30}')
    found = options("scheduled")
    assert (found.dry_run, found.keep_days, found.keep_runs) == (False, 30, 10)
    assert (found.published_keep_days, found.unpublished_keep_days) == (None, None)


def test_a_manual_run_uses_the_form_alone(monkeypatch):
    monkeypatch.setenv("AIRFLOW_VAR_FANFOLD_RETENTION", '{"dry_run": false, "keep_days": 30}')
    found = options("manual", keep_days=50)
    assert (found.dry_run, found.keep_days) == (True, 50)


@pytest.mark.parametrize(
    ("variable", "named"),
    [
        ('{"keep_day": 3}', "KeyError"),
        ('{"keep_days": "3"}', "'3' is not of type 'number'"),
        ('{"published_keep_runs": 1}', "1 is less than the minimum of 2"),
        ("90", "TypeError"),
        ("keep all", "JSONDecodeError"),
    ],
)
def test_a_wrong_variable_removes_nothing(monkeypatch, variable, named):
    monkeypatch.setenv("AIRFLOW_VAR_FANFOLD_RETENTION", variable)
    with pytest.raises(
        BadConfiguration, match=rf"fanfold_retention is wrong \(.*{named}.*keep_runs"
    ):
        options("scheduled")
