"""A workspace whose disk is full, over quota or read-only, and has space again."""

from __future__ import annotations

import contextlib
import errno
import gc
import itertools
import json
import os
import subprocess
import threading
from datetime import UTC, datetime
from functools import partial

import pytest

from fanfold import readers
from fanfold.errors import BadConfiguration, Retriable, WorkspaceUnavailable
from fanfold.loader import load_pipeline
from fanfold.model import RunIdentity, Status
from fanfold.rate_limit import Unlimited
from fanfold.sources.endpoint import Endpoint
from fanfold.sources.session import ApiSession
from fanfold.sources.version import source_version
from fanfold.stages import consolidating, planning
from fanfold.stages.fetching import fetch_batch
from fanfold.stages.fetching.backoff import Backoff
from fanfold.stages.fetching.workers import WorkerPool
from fanfold.stages.processing import arrow_schema, process_batch
from fanfold.workspace.batch import Batch
from fanfold.workspace.files import TEMPORARY_PREFIX, disk_errors, write_json, write_jsonl
from fanfold.workspace.paths import Workspace

MIB = 1024 * 1024
UIDS = [str(1404376560 + number) for number in range(1_500)]
AS_OF = datetime(2026, 3, 1, tzinfo=UTC)
RUN = RunIdentity("weibo_user_profiles", "manual__1", AS_OF)
LOADED = load_pipeline("weibo_user_profiles")
PIPELINE = LOADED.pipeline
VERSION = source_version(PIPELINE.source)


class Disk:
    """A small disk of its own, in memory."""

    def __init__(self, path):
        self.path = path
        self._filler = path / "filler"

    def fill(self, *, but=0):
        """Fill the disk but for ``but`` bytes."""
        with contextlib.suppress(OSError), self._filler.open("ab") as file:
            while True:
                file.write(bytes(MIB))
                file.flush()
        free = os.statvfs(self.path)
        assert free.f_bavail == 0
        os.truncate(self._filler, self._filler.stat().st_size - but)

    def free(self):
        self._filler.unlink(missing_ok=True)

    def mount(self, *options):
        subprocess.run(["mount", *options, str(self.path)], check=True)


@pytest.fixture
def disk(tmp_path):
    path = tmp_path / "disk"
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=24m", "fanfold-test", str(path)]
    if subprocess.run(command, check=False, stderr=subprocess.DEVNULL).returncode:
        pytest.skip("mounting a small disk needs root")
    yield Disk(path)
    gc.collect()  # the frames of an error hold pyarrow's files open
    subprocess.run(["umount", str(path)], check=True)


@pytest.fixture
def fetch(simulator):
    """Return a function that fetches a batch as its task does."""

    def run(workspace, batch=0):
        endpoint = Endpoint("weibo_default", simulator.url, token=simulator.token)
        with ApiSession(PIPELINE.source, endpoint, as_of=AS_OF) as session:
            backoff = Backoff(first=0.01, cap=0.05)
            workers = partial(WorkerPool, session, Unlimited(), concurrency=8, backoff=backoff)
            return fetch_batch(workspace.batch(batch), workers, version=VERSION)

    return run


def files_of(folder):
    """Every file under a folder, with its bytes; but not what fills the disk."""
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "filler"
    }


def refusal(step, *arguments):
    """Run a step that the disk refuses, and return what the error says."""
    with pytest.raises(WorkspaceUnavailable) as caught:
        step(*arguments)
    return str(caught.value)


def assert_clear(message, folder, said="No space left on device"):
    assert str(folder) in message
    assert said in message
    assert "bytes and" in message
    assert "Free disk space" in message
    assert TEMPORARY_PREFIX not in message


def test_a_fetch_on_a_full_disk_ends_and_goes_on_where_it_was(disk, fetch, simulator, monkeypatch):
    """The disk fills up after the first part: that is kept, and the rest alone is asked for."""
    workspace = Workspace(disk.path / "run")
    write_jsonl(workspace.batch(0).items_file, UIDS)
    write = Batch.write_part
    kept = []

    def writing(batch, sequence, part, *others):
        write(batch, sequence, part, *others)
        kept.append(len(part))
        disk.fill(but=8192)  # the progress file may still be written, or not

    monkeypatch.setattr(Batch, "write_part", writing)
    assert_clear(refusal(fetch, workspace), workspace.root)
    assert kept
    assert sum(kept) < len(UIDS)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("fetch-")]
    # Nothing half is left: each part that is there is whole and committed.
    batch = workspace.batch(0)
    assert len(batch.outcomes()) == sum(map(len, batch.fetched(len(UIDS)))) == sum(kept)
    assert len(list((workspace.root / "raw").rglob("*.gz"))) == len(kept)
    assert not list(workspace.root.rglob(f"{TEMPORARY_PREFIX}*"))

    disk.free()
    monkeypatch.undo()
    simulator.reset()
    tally = fetch(workspace)
    assert tally.count(Status.OK) == len(UIDS)
    assert simulator.stats()["requests"] == len(UIDS) - sum(kept)


@pytest.fixture
def fetched(disk, fetch):
    """A workspace on the small disk with a plan and two batches, fetched."""
    workspace = Workspace(disk.path / "run")
    write_items(workspace)
    write_plan(workspace)
    for batch in range(2):
        fetch(workspace, batch)
    return workspace


def write_items(workspace):
    readers.write_items(
        workspace, readers.from_list(UIDS[:400], PIPELINE.item_column), PIPELINE.check_item
    )


def write_plan(workspace):
    moment = "2026-03-01T00:00:00.000Z"
    planning.write_plan(
        workspace,
        PIPELINE,
        wanted_size=200,
        logical_date=moment,
        started_at=moment,
    )


def close(batch):
    return process_batch(batch, LOADED, as_of=AS_OF)


def consolidate(workspace):
    schema = arrow_schema(PIPELINE.contract)
    return consolidating.consolidate(workspace, RUN, LOADED, close, schema=schema, version=VERSION)


STEPS = {
    "read_items": write_items,
    "plan": write_plan,
    "process": lambda workspace: close(workspace.batch(0)),
    "consolidate": consolidate,
}


def test_a_step_on_a_full_disk_keeps_the_files_and_succeeds_later(disk, fetched):
    """Without any space, and with space for a part of the file."""
    for batch in range(2):
        close(fetched.batch(batch))
    consolidate(fetched)
    # What is written again before the disk is full is written whole.
    rewritten = {"items/listed.jsonl", "dataset/failed.jsonl", "dataset/missing.jsonl"}
    for (name, step), room in itertools.product(STEPS.items(), (0, 4096)):
        before = files_of(fetched.root)
        disk.fill(but=room)
        assert_clear(refusal(step, fetched), fetched.root)
        after = files_of(fetched.root)
        assert after.keys() == before.keys(), (name, room)
        assert {str(path) for path in before if before[path] != after[path]} <= rewritten
        disk.free()
        step(fetched)
        STEPS["process"](fetched)
        manifest = STEPS["consolidate"](fetched)
        assert manifest.counts.planned == manifest.counts.ok == 400


def test_a_disk_that_becomes_read_only_is_told(disk, fetched):
    before = files_of(fetched.root)
    disk.mount("-o", "remount,ro")
    try:
        message = refusal(STEPS["process"], fetched)
    finally:
        disk.mount("-o", "remount,rw")
    assert_clear(message, fetched.root, "Read-only file system")
    assert files_of(fetched.root) == before
    STEPS["process"](fetched)


def test_a_disk_without_inodes_is_full_although_it_has_bytes(disk):
    disk.mount("-o", "remount,nr_inodes=4")
    write_json(disk.path / "1.json", 1)
    write_json(disk.path / "2.json", 2)
    with pytest.raises(WorkspaceUnavailable, match=r"[1-9][0-9,]+ bytes and 0 files are free"):
        write_json(disk.path / "a" / "3.json", 3)


def test_an_error_of_the_disk_is_retriable(tmp_path):
    for code in ("ENOSPC", "EDQUOT", "EFBIG", "EROFS", "EIO", "ESTALE"):
        number = getattr(errno, code)
        with pytest.raises(Retriable) as caught, disk_errors(tmp_path / "not" / "yet"):
            raise OSError(number, "text of a library with /tmp/.tmp-1")
        assert type(caught.value) is WorkspaceUnavailable
        assert_clear(str(caught.value), tmp_path, os.strerror(number))


def test_any_other_error_passes_as_it_is(tmp_path):
    with pytest.raises(PermissionError), disk_errors(tmp_path):
        raise PermissionError(13, "Permission denied")


@pytest.mark.filterwarnings("ignore")  # Airflow and its providers warn about themselves
def test_preflight_tells_a_full_disk_from_one_that_may_not_be_written(
    disk, airflow_home, monkeypatch
):
    assert airflow_home.is_dir()
    from fanfold.airflow.checks import check_workspace

    monkeypatch.setenv("FANFOLD_SHARED_DIR", str(disk.path))
    check_workspace()
    disk.fill()
    with pytest.raises(WorkspaceUnavailable, match="0 bytes and"):
        check_workspace()
    monkeypatch.setenv("FANFOLD_SHARED_DIR", "/proc/fanfold")
    with pytest.raises(BadConfiguration, match="is not writable"):
        check_workspace()


@pytest.mark.filterwarnings("ignore")  # Airflow and its providers warn about themselves
def test_people_are_told_once_a_day_before_the_disk_is_full(
    airflow_home, disk, webhook, monkeypatch
):
    """Below 10 %, or if two runs of the size of the last one do not fit."""
    assert airflow_home.is_dir()
    from fanfold.airflow.disk import check

    config = {"path": f"json://127.0.0.1:{webhook.port}/"}
    connection = {"conn_type": "apprise", "extra": {"config": config}}
    monkeypatch.setenv("AIRFLOW_CONN_NOTIFY_DEFAULT", json.dumps(connection))
    monkeypatch.setenv("FANFOLD_SHARED_DIR", str(disk.path))
    first, second = (Workspace.of_run(disk.path, "dag", name) for name in ("first", "second"))
    check(disk.path, first)
    write_json(first.history, [{"run_id": "first", "requests": 1, "seconds": 1}])
    (first.root / "raw").mkdir(parents=True)
    (first.root / "raw" / "blob").write_bytes(bytes(5 * MIB))
    disk.fill(but=12 * MIB)
    check(disk.path, second)
    assert webhook.received == []
    disk.fill(but=9 * MIB)
    check(disk.path)  # a run of a DAG without history
    assert webhook.received == []
    for _ in range(2):
        check(disk.path, second)
    (body,) = webhook.received
    assert "5.2 MB" in body["message"]
    assert "free of 25.2 MB" in body["title"]
    assert "DAG fanfold_maintenance" in body["message"]

    (marker,) = (disk.path / ".notices").iterdir()
    marker.unlink()
    (first.root / "raw" / "blob").unlink()
    disk.fill(but=2 * MIB)
    check(disk.path)
    assert len(webhook.received) == 2
