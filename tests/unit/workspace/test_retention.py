"""Rules of what may be removed, and the facts that they are about."""

import os
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanfold.workspace import cleaning
from fanfold.workspace.files import write_json
from fanfold.workspace.paths import Workspace, safe_name
from fanfold.workspace.retention import Facts, Rules, RunState, Verdict, decide

NOW = datetime(2026, 11, 28, tzinfo=UTC)
DAYS = st.integers(0, 12)
FACTS = st.builds(
    Facts,
    name=st.uuids().map(str),
    written_at=DAYS.map(lambda days: NOW - timedelta(days=days)),
    state=st.sampled_from(RunState),
    latest=st.booleans(),
    unpublished=st.booleans(),
    workspace=st.booleans(),
    counted=st.booleans(),
)
RULES = st.builds(
    Rules,
    keep_days=DAYS,
    keep_runs=st.integers(0, 4),
    unpublished_keep_days=st.none() | DAYS,
)


@given(st.lists(FACTS, max_size=12, unique_by=lambda run: run.name), RULES)
def test_a_run_goes_exactly_if_nothing_needs_it_and_it_is_old_and_not_one_of_the_newest(
    runs, rules
):
    verdicts = decide(runs, rules, NOW)
    for run in runs:
        days = (NOW - run.written_at).days
        newer = [
            other
            for other in runs
            if other.counted and (other.written_at, other.name) > (run.written_at, run.name)
        ]
        newest = run.counted and len(newer) < rules.keep_runs
        limit = rules.unpublished_keep_days
        pending = (
            run.unpublished
            and run.state is not RunState.DELETED
            and (limit is None or days < limit)
        )
        active = run.state is RunState.ACTIVE
        needed = run.latest or run.workspace or active or pending or newest
        assert (verdicts[run.name] is Verdict.REMOVE) is (not needed and days >= rules.keep_days)


@pytest.fixture
def workspace(tmp_path):
    """A run that was fetched, consolidated and published, a second after the other."""
    made = Workspace.of_run(tmp_path, "dag", "run/1")
    outcomes = made.root / "outcomes" / "00000" / "0000-ab.jsonl"
    for second, path in enumerate((made.plan, outcomes, made.manifest, made.published)):
        write_json(path, {})
        age(path, days=9, seconds=-second)
    return made


def age(path, *, days, seconds=0):
    at = (NOW - timedelta(days=days, seconds=seconds)).timestamp()
    os.utime(path, (at, at))


def test_data_is_unpublished_until_it_is_published_and_again_after_a_redrive(workspace):
    assert not cleaning.is_unpublished(workspace)
    age(workspace.manifest, days=8)
    assert cleaning.is_unpublished(workspace)
    age(workspace.published, days=7)
    assert not cleaning.is_unpublished(workspace)
    again = workspace.root / "outcomes" / "00000" / "0001-cd.jsonl"
    write_json(again, {})
    assert cleaning.is_unpublished(workspace)
    age(again, days=9)
    workspace.published.unlink()
    assert cleaning.is_unpublished(workspace)


def test_a_dry_run_or_a_failed_preflight_has_no_data_to_publish(tmp_path):
    workspace = Workspace.of_run(tmp_path, "dag", "manual")
    write_json(workspace.errors / "preflight.json", {})
    assert not cleaning.is_unpublished(workspace)
    age(workspace.root, days=3)
    assert cleaning.written_at(workspace) == NOW - timedelta(days=3)


def test_the_age_is_that_of_the_newest_file_of_the_workspace(workspace):
    assert cleaning.written_at(workspace) == NOW - timedelta(days=9, seconds=-3)


def test_a_folder_whose_id_is_not_known_is_no_run(workspace, tmp_path):
    """Ids that are too long are truncated; hidden folders and items files are ours, but no runs."""
    long = Workspace.of_run(tmp_path, "dag", "x" * 300).root
    for folder in (long, tmp_path / "inputs", tmp_path / ".notices"):
        folder.mkdir()
    assert cleaning.folders_by_id(tmp_path) == {"dag": tmp_path / "dag"}
    assert cleaning.folders_by_id(tmp_path / "dag") == {"run/1": workspace.root}
    assert cleaning.id_of(safe_name("数据 %41")) == "数据 %41"


def test_what_killed_tasks_have_left_goes_after_a_day(workspace):
    left = [
        workspace.root / "base",
        workspace.spill / "merge",
        workspace.spill / ".tmp-duckdb",
        workspace.root / "raw" / "00000" / ".tmp-ab.blob",
    ]
    for path in left:
        path.mkdir(parents=True)
        age(path, days=2)
    write_json(workspace.spill / ".tmp-now", {})
    found = set(cleaning.temporary(workspace, datetime.now(UTC) - timedelta(days=1)))
    assert found == set(left)
    for path in found:
        cleaning.remove(path)
    assert [path.name for path in workspace.root.rglob(".tmp-*")] == [".tmp-now"]


def test_a_stale_file_goes_with_its_lock_unless_it_is_held(tmp_path):
    from filelock import FileLock

    for name in ("old.json", "held.json", "new.json"):
        for path in (tmp_path / name, tmp_path / f"{name}.lock"):
            path.touch()
            age(path, days=100 if "new" not in name else 1)
    with FileLock(tmp_path / "held.json.lock"):
        cleaning.remove_stale(tmp_path, NOW - timedelta(days=90))
        kept = {path.name for path in tmp_path.glob("*.json")}
    assert kept == {"held.json", "new.json"}
    assert not (tmp_path / "old.json.lock").exists()
