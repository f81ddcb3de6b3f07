"""Where the objects of a run lie."""

import dataclasses

import pytest

from fanfold.model import Counts, Manifest, RunStatus
from fanfold.stages.publishing import latest_key, run_prefix

MANIFEST = Manifest(
    dag_id="weibo_user_profiles",
    run_id="scheduled__2026-03-01T00:00:00+00:00",
    logical_date="2026-03-01T00:00:00.000Z",
    status=RunStatus.COMPLETE,
    counts=Counts(),
    files=(),
    requests=0,
    started_at="2026-03-01T00:00:01.000Z",
    finished_at="2026-03-01T00:00:02.000Z",
)


def test_a_run_has_a_folder_by_dag_date_and_run():
    assert run_prefix(MANIFEST) == (
        "weibo_user_profiles/date=2026-03-01/run=scheduled__2026-03-01T00:00:00+00:00/"
    )
    assert latest_key(MANIFEST.dag_id) == "weibo_user_profiles/latest.json"


def test_the_date_is_that_of_utc():
    shanghai = dataclasses.replace(MANIFEST, logical_date="2026-03-01T07:59:00+08:00")
    assert "/date=2026-02-28/" in run_prefix(shanghai)


@pytest.mark.parametrize("name", ["../../etc", "a/b", "ü 😀", ".", "..", "a\nb", "x" * 500])
def test_a_name_from_outside_stays_one_segment(name):
    prefix = run_prefix(dataclasses.replace(MANIFEST, dag_id=name, run_id=name))
    assert prefix.count("/") == 3
    assert prefix.isascii()
    assert ".." not in prefix.split("/")
    assert len(prefix) < 300
