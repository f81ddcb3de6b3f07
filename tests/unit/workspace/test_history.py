"""The last runs of a DAG: remembered once, kept up to date, found again."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from fanfold.model import Counts, Manifest, RunStatus
from fanfold.workspace.files import write_json
from fanfold.workspace.history import (
    MAX_RUNS,
    Past,
    extend,
    forget,
    like_size,
    read_history,
    remember,
    run_before,
)


def manifest(run_id, day=1, *, requests=100, start="00:00:00", end="00:00:30", ok=5, rows=5):
    return Manifest(
        dag_id="d", run_id=run_id, logical_date=f"2026-01-{day:02}T00:00:00.000Z",
        status=RunStatus.COMPLETE, counts=Counts(ok, ok), files=(), requests=requests,
        started_at=f"2026-01-{day:02}T{start}.000Z", finished_at=f"2026-01-{day:02}T{end}.000Z",
        rows=rows, rejected=2,
    )  # fmt: skip


@pytest.fixture
def path(tmp_path):
    return tmp_path / "history.json"


def test_a_run_is_remembered_once_and_the_oldest_is_forgotten(path):
    assert read_history(path) == []
    for number in range(MAX_RUNS + 5):
        remember(path, manifest(f"run{number}"), passed=True)
    found = [past.run_id for past in read_history(path)]
    assert found == [f"run{number}" for number in range(5, MAX_RUNS + 5)]


def test_a_redrive_changes_the_outcome_and_not_what_the_first_time_took(path):
    began = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
    first, second = (
        manifest("run", ok=3, rows=30),
        manifest("run", ok=5, rows=50, requests=7, end="09:00:00"),
    )
    remember(path, first, passed=False, fetched_at=began + 20)
    remember(path, second, passed=True, fetched_at=began + 9 * 3600)
    for seconds in (9, 4):  # load and report, which run side by side
        extend(path, second, second.moments[1] + timedelta(seconds=seconds))
    remember(path, second, passed=True)
    (past,) = read_history(path)
    assert (past.requests, past.seconds, past.fetching, past.after) == (100, 30.0, 20.0, 9.0)
    assert (past.counts, past.passed) == (Counts(5, 5), True)
    assert (past.rows, past.rejected) == (50, 2)


def test_a_fetch_that_failed_is_no_measure_and_a_run_that_is_not_remembered_is_not_extended(path):
    failed = replace(manifest("run"), counts=Counts(4, ok=2, failed=2))
    extend(path, failed, failed.moments[1])
    remember(path, failed, passed=False, fetched_at=failed.moments[1].timestamp())
    assert [past.fetching for past in read_history(path)] == [0.0]


def test_a_run_made_again_under_the_same_id_is_another_run(path):
    remember(path, manifest("other"), passed=True)
    remember(path, manifest("run"), passed=True)
    forget(path, "run")
    assert [past.run_id for past in read_history(path)] == ["other"]
    forget(path, "run")
    remember(path, manifest("run", requests=7, end="00:00:10"), passed=True)
    assert [past.requests for past in read_history(path)] == [100, 7]


def test_a_run_without_requests_is_timed_when_it_sends_some(path):
    remember(path, manifest("run", requests=0, ok=0), passed=False)
    remember(path, manifest("run", requests=9, end="00:01:00"), passed=True)
    assert [(past.requests, past.seconds) for past in read_history(path)] == [(9, 60.0)]


def test_a_run_that_needs_no_requests_keeps_the_time_of_its_first_consolidation(path):
    remember(path, manifest("run", requests=0), passed=False)
    remember(path, manifest("run", requests=0, end="09:00:00"), passed=True)
    assert [past.seconds for past in read_history(path)] == [30.0]


def test_the_history_of_an_earlier_version_is_read(path):
    write_json(path, [{"run_id": "a", "requests": 1, "seconds": 2.0}])
    assert read_history(path) == [Past("a", 1, 2.0)]


def test_the_run_before_is_the_last_published_one_for_an_earlier_date(path):
    days = {"late": 5, "first": 1, "second": 2, "refused": 3, "empty": 3, "mine": 4, "again": 4}
    for name, day in days.items():
        # Items that are ok may have no rows.
        rows = 0 if name == "empty" else 5
        remember(path, manifest(name, day, rows=rows), passed=name != "refused")
    history = read_history(path)

    def before(name, day):
        found = run_before(history, name, manifest(name, day).logical_date)
        return found and found.run_id

    assert before("first", 1) is None
    assert before("mine", 4) == "second"
    # Of two runs for one date, the second is compared with the first.
    assert before("again", 4) == "mine"
    assert before("not yet remembered", 4) == "again"


def test_runs_of_like_size_have_half_to_twice_as_many_items():
    history = [Past(str(items), 0, 1.0, counts=Counts(items)) for items in (0, 49, 50, 100, 201)]
    assert [past.run_id for past in like_size(history, 100)] == ["50", "100"]
