"""Objects are downloaded through outages, and those that changed meanwhile are not mixed."""

from __future__ import annotations

from functools import partial

import pytest

from fanfold.errors import BadConfiguration, BatchIncomplete, SourceBusy
from fanfold.model import Status
from fanfold.stages.fetching import fetch_batch
from fanfold.stages.fetching.downloads import CHUNK, Downloads
from fanfold.workspace.files import write_jsonl
from fanfold.workspace.paths import Workspace

# Airflow and its providers warn about themselves.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def locations(through_front, monkeypatch, bucket_name):
    monkeypatch.setenv("FANFOLD_FILES_ALLOWED", f"s3://{bucket_name}/ s3://no-such-bucket/")
    with through_front.locations("aws_default") as made:
        yield made


@pytest.fixture
def batch(tmp_path):
    return Workspace(tmp_path / "run").batch(0)


@pytest.fixture
def put(s3_client, bucket_name):
    def put(name, content):
        s3_client.put_object(Bucket=bucket_name, Key=name, Body=content)

    return put


@pytest.fixture
def plan(locations, batch, put, bucket_name):
    """``plan(content by key, more URIs)``: put objects, list them, and freeze the list in a batch."""

    def plan(contents, *others):
        for name, content in contents.items():
            put(name, content)
        found = list(locations.list(f"s3://{bucket_name}/"))
        write_jsonl(batch.items_file, [*(each.uri for each in found), *others])
        attributes = [{"size": each.size, "etag": each.etag} for each in found]
        write_jsonl(batch.attributes_file, [*attributes, *({} for _ in others)])
        return found

    return plan


@pytest.fixture
def fetch(batch, locations):
    def fetch():
        return fetch_batch(batch, partial(Downloads, locations, 1 << 30, batch), version="0000000a")

    return fetch


@pytest.fixture
def downloaded(batch, bucket_name):
    """``downloaded()``: content by key of the objects that are ok."""

    def content(each):
        with each.path.open("rb") as file:
            file.seek(each.offset)
            return file.read(each.bytes)

    def downloaded():
        start = len(f"s3://{bucket_name}/")
        return {each.outcome.key[start:]: content(each) for each in batch.fetched_files()}

    return downloaded


def test_objects_are_listed_and_downloaded_by_their_keys_as_they_are(
    plan, fetch, downloaded, locations, batch
):
    contents = {
        "a b+c%41?#&=/订单.csv": b"1",
        "empty.csv": b"",
        "x.csv.gz": b"\x1f\x8b not inflated",
        "z/1.csv": bytes(range(256)) * 5000,
    }
    found = plan({**contents, "z/": b""})  # the last one marks a folder
    assert fetch().count(Status.OK) == 4
    assert downloaded() == contents
    assert [locations.head(each.uri) for each in found] == found
    assert [each.etag for each in batch.fetched_files()] == [each.etag for each in found]
    assert [each.modified for each in batch.fetched_files()] == [each.modified for each in found]


def test_an_object_that_changed_or_was_deleted_since_the_list_costs_itself_only(
    plan, fetch, put, s3_client, bucket_name, batch, downloaded
):
    plan({f"{n}.csv": b"%d" % n for n in range(4)}, f"s3://{bucket_name}/none.csv")
    put("1.csv", b"9")
    s3_client.delete_object(Bucket=bucket_name, Key="2.csv")
    with pytest.raises(BatchIncomplete, match="2 of 5 items failed"):
        fetch()
    assert downloaded() == {"0.csv": b"0", "3.csv": b"3"}
    reasons = [each.reason_id for each in batch.outcomes().values() if each.reason_id]
    assert sorted(reasons) == ["files.changed", "files.deleted", "files.missing"]


def test_an_object_that_may_not_be_read_costs_itself_only(plan, fetch, front, downloaded):
    plan({f"{n}.csv": b"%d" % n for n in range(4)})
    second = front.asked + 2
    front.fault, front.ill = "AccessDenied", lambda number: number == second
    with pytest.raises(BatchIncomplete, match=r"may not be read: AccessDenied"):
        fetch()
    assert len(downloaded()) == 3


@pytest.mark.usefixtures("clock")
def test_an_outage_keeps_what_is_there_and_a_retry_fetches_the_rest(
    plan, fetch, front, batch, downloaded
):
    contents = {f"{n:02}.csv": b"%d" % n for n in range(60)}
    plan(contents)
    healthy = front.asked + 30
    front.fault, front.ill = "ServiceUnavailable", lambda number: number > healthy
    with pytest.raises(SourceBusy, match="overloaded"):
        fetch()
    there = len(downloaded())
    assert 0 < there <= 30
    assert all(each.status is Status.OK for each in batch.outcomes().values())
    front.fault, before = None, front.asked
    fetch()
    assert front.asked - before == 60 - there
    assert downloaded() == contents


def test_a_lost_connection_is_continued_where_it_ended(plan, fetch, front, downloaded):
    contents = {"large.bin": bytes(range(256)) * (4 * CHUNK // 256)}
    plan(contents)
    first = front.asked
    front.fault, front.ill = "cut", lambda number: number <= first + 2
    assert fetch().requests == 3
    assert downloaded() == contents


def test_the_rest_of_another_version_is_never_appended(plan, fetch, front, put, downloaded):
    plan({"large.bin": bytes(4 * CHUNK), "small.csv": b"1"})
    first = front.asked
    front.fault = "cut"

    def changed_after_the_first(number):
        if number == first + 3:
            put("large.bin", b"1" * 4 * CHUNK)
        return number <= first + 2

    front.ill = changed_after_the_first
    with pytest.raises(BatchIncomplete, match=r"large\.bin: changed since"):
        fetch()
    assert downloaded() == {"small.csv": b"1"}


def test_an_object_whose_connection_is_always_lost_costs_itself_only(
    plan, fetch, front, batch, monkeypatch
):
    monkeypatch.setattr("fanfold.stages.fetching.backoff.random.uniform", lambda *_: 0.0)
    plan({"a.csv": b"12"})
    front.fault = "cut"
    with pytest.raises(BatchIncomplete, match=r"a\.csv: .*connection was lost"):
        fetch()
    assert batch.outcomes().popitem()[1].attempts == 4


def test_an_object_that_differs_from_its_checksum_costs_itself_only(plan, fetch, front, batch):
    plan({"a.csv": b"12"})
    front.fault = "damage"
    with pytest.raises(BatchIncomplete, match=r"a\.csv: the file differs from its checksum"):
        fetch()
    front.fault = None
    assert fetch().count(Status.OK) == 1
    assert batch.outcomes().popitem()[1].attempts == 2


def test_a_bucket_that_does_not_exist_stops_the_fetch_and_says_so(plan, fetch):
    plan({}, "s3://no-such-bucket/1.csv")
    with pytest.raises(BadConfiguration, match="NoSuchBucket; create the bucket, or correct"):
        fetch()
