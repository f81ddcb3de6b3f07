"""Files of a folder are downloaded as they are, whatever the others are like."""

import itertools
import os
import tracemalloc
from functools import partial

import pytest

from fanfold.errors import BatchIncomplete, WorkspaceUnavailable
from fanfold.model import Status
from fanfold.sources import Files
from fanfold.sources.version import source_version
from fanfold.stages.fetching import downloads, fetch_batch
from fanfold.stages.fetching.downloads import SMALL, Downloads
from fanfold.storage.locations import Locations
from fanfold.workspace.files import write_jsonl
from fanfold.workspace.paths import Workspace
from fanfold.workspace.progress import all_progress

VERSION = source_version(Files())


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "drops").mkdir()
    return tmp_path / "drops"


@pytest.fixture
def locations(folder):
    return Locations((f"file://{folder}/",), lambda: pytest.fail("no object is needed"))


@pytest.fixture
def batch(tmp_path):
    return Workspace(tmp_path / "run").batch(0)


@pytest.fixture
def plan(folder, locations, batch):
    """``plan(content by name, more URIs, their attributes)``: write files, list them, and freeze the list in a batch."""

    def plan(contents, *others, **given):
        for name, content in contents.items():
            (folder / name).write_bytes(content)
        found = [locations.head(f"file://{folder}/{name}") for name in contents]
        write_jsonl(batch.items_file, [*(each.uri for each in found), *others])
        attributes = [{"size": each.size, "etag": each.etag} for each in found]
        write_jsonl(batch.attributes_file, [*attributes, *(given for _ in others)])

    return plan


@pytest.fixture
def fetch(batch, locations):
    def fetch(*, max_bytes=1 << 30, version=VERSION, **options):
        start = partial(Downloads, locations, max_bytes, batch)
        return fetch_batch(batch, start, version=version, **options)

    return fetch


@pytest.fixture
def downloaded(batch, folder):
    """``downloaded()``: content by name of the files that are ok, in the order of the batch."""

    def content(each):
        with each.path.open("rb") as file:
            file.seek(each.offset)
            return file.read(each.bytes)

    def downloaded():
        start = len(f"file://{folder}/")
        return {each.outcome.key[start:]: content(each) for each in batch.fetched_files()}

    return downloaded


def blobs(batch):
    return sorted(path for path in batch._raw.iterdir() if path.suffix == ".blob")


def test_small_files_share_a_file_of_the_workspace_and_a_large_one_has_its_own(
    plan, fetch, batch, downloaded
):
    contents = {f"{n:03}.csv": b"%d," % n * n for n in range(40)}  # 000.csv is empty
    contents["large.bin"] = bytes(range(256)) * (SMALL // 128)
    contents["limit.bin"] = b"x" * SMALL
    plan(contents)
    result = fetch()
    assert (result.count(Status.OK), result.requests) == (42, 42)
    assert list(downloaded().items()) == list(contents.items())
    large = {each.path for each in batch.fetched_files() if each.bytes > SMALL}
    small = {each.path for each in batch.fetched_files()} - large
    assert [path.stat().st_size for path in large] == [2 * SMALL]
    assert (
        sum(path.stat().st_size for path in small) == sum(map(len, contents.values())) - 2 * SMALL
    )
    assert len(small) == 1
    assert set(blobs(batch)) == large | small
    assert fetch().requests == 42  # all there


def test_a_flawed_file_costs_itself_only_and_its_reason_says_what_is_wrong(
    plan, fetch, batch, folder, downloaded, tmp_path
):
    (tmp_path / "secret.csv").write_text("secret")
    (folder / "link.csv").symlink_to(tmp_path / "secret.csv")
    (folder / "sub").mkdir()
    os.mkfifo(folder / "pipe.csv")
    here = f"file://{folder}"
    (folder / "short.csv").write_bytes(b"1")
    plan(
        {"ok.csv": b"1", "changed.csv": b"1", "deleted.csv": b"1", "large.csv": b"12345"},
        *(f"{here}/{name}" for name in ("short.csv", "none.csv", "link.csv", "sub", "pipe.csv")),
        f"file://{tmp_path}/secret.csv",
        "s3://other/1.csv",
        size=2,
    )
    (folder / "changed.csv").write_bytes(b"2")
    os.utime(folder / "changed.csv", ns=(1, 1))
    (folder / "deleted.csv").unlink()
    with pytest.raises(BatchIncomplete, match="8 of 11 items failed"):
        fetch(max_bytes=4)
    assert downloaded() == {"ok.csv": b"1"}
    outcomes = {
        key.removeprefix(f"{here}/"): (str(each.status), each.reason_id)
        for key, each in batch.outcomes().items()
    }
    assert outcomes == {
        "ok.csv": ("ok", None),
        "changed.csv": ("failed", "files.changed"),
        "deleted.csv": ("failed", "files.deleted"),
        "large.csv": ("invalid", "files.too_large"),
        "short.csv": ("failed", "files.changed"),
        "none.csv": ("missing", "files.missing"),
        "link.csv": ("failed", "files.outside"),
        "sub": ("failed", "files.not_regular"),
        "pipe.csv": ("failed", "files.not_regular"),
        f"file://{tmp_path}/secret.csv": ("failed", "files.not_allowed"),
        "s3://other/1.csv": ("failed", "files.not_allowed"),
    }
    assert "5 bytes; max_bytes" in batch.outcomes()[f"{here}/large.csv"].reason
    assert sum(path.stat().st_size for path in blobs(batch)) == 1
    progress = all_progress(Workspace(tmp_path / "run"))[0]
    assert progress.decided == progress.planned == 11


def test_a_retry_downloads_only_what_failed_and_the_order_is_that_of_the_plan(
    plan, fetch, batch, folder, downloaded
):
    contents = {"a.csv": b"a", "b.csv": b"bb", "c.csv": b"ccc"}
    plan(contents)
    (folder / "a.csv").rename(folder / "hidden")
    with pytest.raises(BatchIncomplete, match=r"a\.csv: deleted since the list was read"):
        fetch()
    (folder / "hidden").rename(folder / "a.csv")
    assert fetch().requests == 4
    assert list(downloaded().items()) == list(contents.items())
    assert [each.outcome.attempts for each in batch.fetched_files()] == [2, 1, 1]


def test_parts_of_another_version_are_removed_with_the_bytes_of_their_files(
    plan, fetch, batch, downloaded
):
    plan({"a.csv": b"a", "large.bin": bytes(SMALL + 1)})
    fetch(version="0000000a")
    old = blobs(batch)
    assert len(old) == 2
    fetch()
    assert not any(path.exists() for path in old)
    assert {each.path for each in batch.fetched_files()} == set(blobs(batch))
    assert downloaded() == {"a.csv": b"a", "large.bin": bytes(SMALL + 1)}


def test_a_batch_whose_attributes_changed_in_a_later_plan_is_fetched_again(
    plan, fetch, batch, downloaded
):
    """Of files, the ETag; of other items, what their requests and rows depend on."""
    plan({"a.csv": b"a", "b.csv": b"b"})
    fetch()
    said = []
    plan({"a.csv": b"a", "b.csv": b"corrected"})
    assert fetch(log=said.append).requests == 2
    assert downloaded() == {"a.csv": b"a", "b.csv": b"corrected"}
    assert "with other attributes" in said[0]
    fetch(log=said.append)
    assert "Fetching 0 of 2 items" in said[-2]
    batch.attributes_file.unlink()
    assert batch.parts_of_other_versions(VERSION)


def test_decoding_options_do_not_ask_for_another_download():
    assert source_version(Files(format="csv", delimiter=";", max_bytes=1)) == VERSION


def test_bytes_of_a_killed_task_are_removed(plan, fetch, batch, downloaded):
    plan({"a.csv": b"a"})
    batch.new_blob().write_bytes(b"part of a file")
    fetch()
    assert downloaded() == {"a.csv": b"a"}
    assert len(blobs(batch)) == 1


def test_a_task_that_was_presumed_dead_cannot_commit_the_bytes_that_its_successor_removed(
    plan, fetch, batch
):
    plan({"a.csv": b"a"})
    blob = batch.new_blob()
    blob.write_bytes(b"a")
    fetch()
    before = batch.part_names()
    with pytest.raises(FileNotFoundError):
        batch.write_part(9, [], VERSION, blob)
    assert batch.part_names() == before


def test_a_large_file_takes_little_memory(plan, fetch, folder, batch):
    with (folder / "large.bin").open("wb") as file:
        file.truncate(64 << 20)
    plan({}, f"file://{folder}/large.bin")
    tracemalloc.start()
    try:
        fetch()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    (each,) = batch.fetched_files()
    assert each.path.stat().st_size == each.bytes == 64 << 20
    assert peak < 8 << 20


def test_small_files_are_handed_over_before_they_fill_the_memory(
    plan, fetch, batch, downloaded, monkeypatch
):
    monkeypatch.setattr(downloads, "PART_BYTES", 4000)
    contents = {f"{n:02}.csv": b"%02d" % n * 500 for n in range(20)}
    plan(contents)
    fetch()
    assert [path.stat().st_size for path in blobs(batch)] == [4000] * 5
    assert downloaded() == contents


@pytest.mark.parametrize("size", [10, SMALL + 1])
def test_a_full_disk_ends_the_fetch_and_leaves_no_bytes(plan, fetch, batch, size):
    """/dev/full is a disk that is always full."""
    plan({"a.csv": bytes(size)})
    made, numbers = [], itertools.count()

    def on_a_full_disk():
        batch._raw.mkdir(parents=True, exist_ok=True)
        path = batch._raw / f".tmp-{next(numbers)}.blob"  # by several threads at once
        path.symlink_to("/dev/full")
        made.append(path)
        return path

    batch.new_blob = on_a_full_disk
    with pytest.raises(WorkspaceUnavailable, match="No space left on device"):
        fetch()
    assert not any(path.is_symlink() for path in made)
    assert batch.parts() == []
