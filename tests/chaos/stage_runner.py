"""Run single stages in forked processes, which may be killed at a kill point.

It reads a request per line from stdin and writes a response per line to stdout, both JSON. Slow
imports happen once, before the forks; it has no threads, so that it can fork.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path

import boto3
import pandas as pd
import psycopg
from botocore.config import Config
from kill_points import KillPoints

from fanfold import sources
from fanfold.errors import BatchIncomplete
from fanfold.model import Manifest, Plan, RunIdentity
from fanfold.rate_limit import Unlimited
from fanfold.sources.endpoint import Endpoint
from fanfold.sources.session import Session
from fanfold.stages import consolidating, loading, planning, publishing
from fanfold.stages.fetching import fetch_batch, workers
from fanfold.stages.fetching.backoff import Backoff
from fanfold.stages.processing import process_batch
from fanfold.stages.processing.contract import SCHEMA
from fanfold.storage.objects import Bucket
from fanfold.workspace.files import read_json, write_jsonl
from fanfold.workspace.paths import Workspace

dumps = json.dumps  # without a kill point
PART_ITEMS = 4  # a few users make several parts
TOLERATED = 50
QUICK = Backoff(attempts=3, first=0.01, cap=0.05)


class Stages:
    """The stages of one run, called as its tasks call them."""

    def __init__(self, given, points):
        self.given = given
        self.points = points
        self.workspace = Workspace(Path(given["workspace"]))
        date = datetime.fromisoformat(given["date"])
        self.run = RunIdentity("users", given["run"], date)

    def plan(self):
        write_jsonl(self.workspace.listed, self.given["users"])
        planning.write_plan(
            self.workspace,
            source="weibo",
            wanted_size=self.given["batch_size"],
            logical_date=self.given["date"],
            started_at=self.given["date"],
        )

    def _batches(self):
        return range(Plan.from_json(read_json(self.workspace.plan)).batches)

    def fetch(self):
        workers.PART_ITEMS = PART_ITEMS
        endpoint = Endpoint("weibo_default", self.given["source"], token=self.given["token"])
        for batch in self._batches():
            # Airflow would retry a batch with failed items; the other batches continue.
            with Session(sources.get("weibo"), endpoint) as session, suppress(BatchIncomplete):
                fetch_batch(
                    self.workspace.batch(batch),
                    session,
                    concurrency=4,
                    limiter=Unlimited(),
                    backoff=QUICK,
                )

    def process(self):
        date = pd.Timestamp(self.run.logical_date)
        for batch in self._batches():
            process_batch(self.workspace.batch(batch), sources.get("weibo"), as_of=date)

    def consolidate(self):
        manifest = consolidating.consolidate(self.workspace, self.run, SCHEMA)
        consolidating.check_tolerance(self.workspace, manifest, TOLERATED)

    def publish(self):
        s3 = self.given["s3"]
        client = boto3.client(
            "s3",
            endpoint_url=s3["url"],
            aws_access_key_id=s3["access_key"],
            aws_secret_access_key=s3["secret_key"],
            region_name="us-east-1",
            config=Config(proxies={}, s3={"addressing_style": "path"}),
        )
        with closing(client):
            bucket = Bucket(client, s3["bucket"])
            publishing.publish(bucket, self.workspace.dataset, self._manifest())

    def load(self):
        database = self.given["database"]
        connection = (
            self.points.connect(database)
            if isinstance(database, str)
            else psycopg.connect(**database)
        )
        with closing(connection):
            path = self.workspace.dataset / consolidating.PARQUET
            loading.load(connection, path, self._manifest())

    def _manifest(self):
        return Manifest.from_json(read_json(self.workspace.manifest))


def run_task(given, out):
    """Run the requested stages in this process, which may be killed at a kill point."""

    def report(name):
        os.write(out, dumps({"point": name}).encode())

    points = KillPoints(given.get("kill_at"), report)
    stages = Stages(given, points)
    if given.get("count") or given.get("kill_at"):
        points.install()
    result = {"seconds": {}}
    try:
        for name in given["stages"]:
            began = time.monotonic()
            getattr(stages, name)()
            result["seconds"][name] = time.monotonic() - began
    except Exception as error:  # noqa: BLE001 - the test decides
        result |= {"error": type(error).__name__, "trace": traceback.format_exc()}
    os.write(out, dumps({"points": points.count, **result}).encode())


def run(given):
    """Run a request in a forked process and return its result and exit signal."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        try:
            run_task(given, write)
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as result:
        response = json.loads(result.read() or b"{}")
    _, status = os.waitpid(pid, 0)
    return {"signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0, **response}


if __name__ == "__main__":
    responses = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        responses.write(dumps(run(json.loads(line))) + "\n")
        responses.flush()
