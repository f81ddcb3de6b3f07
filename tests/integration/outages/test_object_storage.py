"""Object storage that is overloaded or unreachable for a while: a retry succeeds."""

from __future__ import annotations

import hashlib
import json

import pytest

from fanfold.errors import BadConfiguration, SinkUnavailable
from fanfold.model import Counts, FileEntry, Manifest, RunStatus
from fanfold.stages.publishing import check_bucket, publish, upload_extra

# Airflow and its providers warn about themselves.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def run(tmp_path):
    """A run to publish: its folder and its manifest."""
    data = {"orders.parquet": b"PAR1rows", "failed.jsonl": b""}
    for name, content in data.items():
        (tmp_path / name).write_bytes(content)
    files = tuple(
        FileEntry(name, name.partition(".")[2], 1, len(body), hashlib.sha256(body).hexdigest())
        for name, body in data.items()
    )
    return tmp_path, Manifest(
        dag_id="weibo_user_profiles",
        run_id="manual__1",
        logical_date="2026-03-01T00:00:00.000Z",
        status=RunStatus.COMPLETE,
        counts=Counts(planned=1, ok=1),
        files=files,
        requests=1,
        started_at="2026-03-01T00:00:01.000Z",
        finished_at="2026-03-01T00:00:02.000Z",
    )


@pytest.fixture
def stages(through_front, bucket_name, run, tmp_path):
    """The stages that use object storage, each called as its task calls it."""
    folder, manifest = run
    page = tmp_path / "report.html"
    page.write_text("<html></html>")

    def published():
        with through_front.bucket(bucket_name) as bucket:
            return publish(bucket, folder, manifest)

    def reported():
        with through_front.bucket(bucket_name) as bucket:
            return upload_extra(bucket, "weibo_user_profiles/run=1/", [page])

    def checked():
        with through_front.bucket(bucket_name) as bucket:
            check_bucket(bucket)

    return {"publish": published, "report": reported, "preflight": checked}


@pytest.fixture
def outage(front, clock):
    """Return a function that starts an outage of some seconds at the N-th request."""

    def begin(kind, seconds, *, after=0):
        began = []

        def ill(number):
            if number > after:
                began.append(clock.now)
            return bool(began) and clock.now < began[0] + seconds

        front.fault, front.ill = kind, ill

    return begin


@pytest.mark.parametrize(
    ("stage", "kind"),
    [("publish", "SlowDown"), ("report", "InternalError"), ("preflight", "drop")],
)
def test_an_outage_of_half_a_minute_is_retried(stages, outage, retried, clock, stage, kind):
    outage(kind, 30)
    _, errors = retried(stages[stage])
    assert 30 <= clock.now < 120
    assert all(type(error) is SinkUnavailable for error in errors)


def test_an_outage_of_ten_minutes_is_retried_by_the_task(stages, outage, retried, clock):
    outage("drop", 600)
    result, errors = retried(stages["publish"])
    assert result.latest_moved
    assert 600 <= clock.now < 1500
    assert 4 <= len(errors) <= 6


def test_an_outage_during_publish_never_shows_an_incomplete_run(
    stages, outage, retried, s3_client, bucket_name
):
    """latest.json is absent, or all objects exist."""
    outage("SlowDown", 120, after=6)
    key = "weibo_user_profiles/latest.json"

    def look(_):
        listed = s3_client.list_objects_v2(Bucket=bucket_name).get("Contents", [])
        assert key not in {entry["Key"] for entry in listed} or len(listed) == 4

    result, errors = retried(stages["publish"], between=look)
    assert result.latest_moved
    assert errors
    latest = json.loads(s3_client.get_object(Bucket=bucket_name, Key=key)["Body"].read())
    for entry in result.objects:
        found = s3_client.get_object(Bucket=bucket_name, Key=entry.key)["Body"].read()
        assert hashlib.sha256(found).hexdigest() == entry.sha256
    assert latest["prefix"] == result.prefix
    # Objects uploaded before the outage were not uploaded again.
    assert sum(entry.sent for entry in result.objects) <= len(result.objects) - 1


def test_a_service_that_stays_unavailable_ends_in_one_message(stages, front, retried, clock):
    front.fault = "SlowDown"
    with pytest.raises(SinkUnavailable) as caught:
        retried(stages["publish"])
    message = str(caught.value)
    assert front.url in message
    assert "SlowDown" in message
    assert "out of retries, clear it later" in message
    assert clock.now > 600


def test_a_service_that_does_not_answer_times_out(stages, front, clock, monkeypatch, through_front):
    monkeypatch.setitem(through_front.S3, "read_timeout", 0.2)
    front.fault = "hang"
    with pytest.raises(SinkUnavailable, match="ReadTimeoutError"):
        stages["preflight"]()
    assert front.asked == through_front.S3["retries"]["total_max_attempts"]
    assert clock.now < 2


def test_a_missing_bucket_is_not_retried(through_front, retried, clock, run):
    folder, manifest = run

    def published():
        with through_front.bucket("no-such-bucket") as bucket:
            publish(bucket, folder, manifest)

    with pytest.raises(BadConfiguration, match="create the bucket"):
        retried(published)
    assert clock.now == 0


def test_reading_items_from_a_bucket_is_retried(
    through_front, outage, retried, s3_client, bucket_name, clock, monkeypatch
):
    assert through_front
    monkeypatch.setenv("FANFOLD_BUCKET", bucket_name)
    from fanfold.airflow.items import located_items
    from fanfold.airflow.items_from import ItemsFrom

    s3_client.put_object(Bucket=bucket_name, Key="users.csv", Body=b"user_id\n1\n2\n")
    chosen = ItemsFrom(uri=f"s3://{bucket_name}/users.csv")

    def read():
        with located_items(chosen, "user_id") as located:
            return [key for _, _, key, _ in located]

    outage("SlowDown", 30)
    assert retried(read)[0] == ["1", "2"]
    assert clock.now >= 30
