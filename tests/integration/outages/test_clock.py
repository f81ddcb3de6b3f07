"""A clock that jumps while a run is under way."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError

from fanfold.errors import SinkUnavailable
from fanfold.simulator.process import running
from fanfold.storage.s3_errors import s3_errors

HOUR = 3600
ITEMS = 300

RUN = '''
"""All stages of a run, in this process; the clock jumps before each by a number of seconds."""
import json, sqlite3, sys, threading, time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import boto3
import pandas as pd

from fanfold import readers, sources
from fanfold.stages import consolidating, planning
from fanfold.stages import fetching
from fanfold.rate_limit import open_rate_limiter
from fanfold.stages.loading import load
from fanfold.model import RunIdentity, utc_text
from fanfold.stages.processing import process_batch
from fanfold.stages.processing.contract import SCHEMA
from fanfold.stages.publishing import publish
from fanfold.sources.endpoint import Endpoint
from fanfold.sources.session import Session
from fanfold.workspace.batch import Batch
from fanfold.storage.objects import Bucket
from fanfold.workspace.files import read_json
from fanfold.workspace.paths import Workspace

options = json.loads(sys.argv[1])
workspace = Workspace(Path(options["folder"]) / "run")
clock = Path(options["folder"]) / "clock"
offset = 0
seen = []

def jump(stage):
    global offset
    seconds = options["jumps"].pop(stage, 0)
    if seconds:
        offset += seconds
        former = time.time()
        clock.write_text(f"{offset:+d}s")
        while abs(time.time() - former) < 600:  # the file is looked at once a second
            threading.Event().wait(0.02)  # libfaketime 0.9.10 does not know how Python sleeps
    seen.append(time.time())

jump("plan")
weibo = sources.get("weibo")
items = [str(1404376560 + number) for number in range(options["items"])]
readers.write_items(workspace, readers.from_list(items), weibo.check_item)
planning.write_plan(
    workspace, source="weibo", wanted_size=len(items), logical_date="2026-03-01T00:00:00.000Z",
    started_at=utc_text(datetime.now(UTC)),
)
write = Batch.write_part

def writing(*arguments):
    write(*arguments)
    jump("fetch")

Batch.write_part = writing
endpoint = Endpoint("weibo_default", options["url"], token=options["token"])
with Session(weibo, endpoint) as session, open_rate_limiter(
    workspace.root / ".rate-limits", "weibo_default", options["per_second"], None
) as budget:
    fetching.fetch_batch(workspace.batch(0), session, concurrency=8, limiter=budget)
    fetching.fetch_batch(workspace.batch(0), session, concurrency=8, limiter=budget)
as_of = pd.Timestamp("2026-03-01", tz="UTC")
process_batch(workspace.batch(0), weibo, as_of=as_of)
run = RunIdentity("weibo_user_profiles", "manual__1", as_of.to_pydatetime())
keys = {"aws_access_key_id": options["s3"][1], "aws_secret_access_key": options["s3"][2]}
client = boto3.client("s3", endpoint_url=options["s3"][0], region_name="us-east-1", **keys)
ends = []
with closing(client), closing(sqlite3.connect(workspace.root / "warehouse.db")) as warehouse:
    for again in ("", " again"):  # the second time as after a redrive
        jump("consolidate" + again)
        manifest = consolidating.consolidate(workspace, run, SCHEMA)
        ends.append(manifest.finished_at)
        jump("publish" + again)
        published = publish(Bucket(client, options["bucket"]), workspace.dataset, manifest)
        jump("load" + again)
        load(warehouse, workspace.dataset / "users.parquet", manifest)
    ((loaded,),) = warehouse.execute("SELECT finished_at FROM fanfold_runs").fetchall()
    ((rows,),) = warehouse.execute("SELECT count(*) FROM user_profiles").fetchall()
print(json.dumps({
    "manifest": manifest.as_json(), "ends": ends, "loaded": loaded, "rows": rows,
    "moved": published.latest_moved, "seen": seen,
}))
'''


@pytest.fixture
def faked():
    """The environment in which a process has the clock that a file says."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not found:
        reason = "libfaketime is not installed: apt-get install faketime"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return {
        "LD_PRELOAD": str(found[-1]),
        "FAKETIME_CACHE_DURATION": "1",
        # A clock that is set leaves the time since the start of the machine alone.
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
    }


@pytest.fixture
def run_under(faked, s3_server, bucket_name, tmp_path):
    """Return a function that makes a run under a clock that jumps, and returns what came of it."""

    def run(simulator, jumps):
        options = {
            "folder": str(tmp_path),
            "jumps": jumps,
            "items": ITEMS,
            "url": simulator.url,
            "token": simulator.token,
            "per_second": 100,
            "s3": [s3_server.url, s3_server.access_key, s3_server.secret_key],
            "bucket": bucket_name,
        }
        (tmp_path / "clock").write_text("+0s")
        environment = {
            **os.environ,
            **faked,
            "FAKETIME_TIMESTAMP_FILE": str(tmp_path / "clock"),
            "NO_PROXY": "127.0.0.1",
        }
        done = subprocess.run(
            [sys.executable, "-c", RUN, json.dumps(options)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout), tmp_path / "run" / "dataset" / "users.parquet"

    return run


def test_a_run_under_a_clock_that_jumps_is_like_any_other(run_under):
    """Back while it fetches, a day ahead before it is published, and far back before a redrive."""
    jumps = {"fetch": -HOUR, "publish": 24 * HOUR, "consolidate again": -48 * HOUR}
    with running() as simulator:
        result, dataset = run_under(simulator, jumps)
        assert simulator.stats()["requests"] == ITEMS
    moments = result["seen"]
    steps = [later - earlier for earlier, later in itertools.pairwise(moments)]
    assert min(steps) < -47 * HOUR, "the clock did jump"
    assert max(steps) > 23 * HOUR
    manifest = result["manifest"]
    assert manifest["counts"]["planned"] == manifest["counts"]["ok"] == ITEMS
    assert pq.read_table(dataset)["user_id"].to_pylist() == [
        str(1404376560 + number) for number in range(ITEMS)
    ]
    assert result["rows"] == ITEMS
    assert result["moved"]
    assert manifest["started_at"] <= manifest["finished_at"]
    # The redrive's row replaces the first one's, whatever its clock said.
    assert result["ends"] == sorted(result["ends"])
    assert datetime.fromisoformat(result["loaded"]) == datetime.fromisoformat(result["ends"][-1])


@pytest.mark.parametrize("hours", [1, -1])
def test_a_request_that_s3_finds_too_old_or_too_new_is_worth_a_retry(hours):
    """HEAD has no body with an error code: the answer's Date shows the difference."""
    date = format_datetime(datetime.now(UTC) + timedelta(hours=hours), usegmt=True)
    answer = {
        "Error": {"Code": "403"},
        "ResponseMetadata": {"HTTPStatusCode": 403, "HTTPHeaders": {"date": date}},
    }
    with (
        pytest.raises(SinkUnavailable, match="Synchronize this machine's clock"),
        s3_errors("b", "http://s3"),
    ):
        raise ClientError(answer, "HeadBucket")
