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
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path

import boto3
import psycopg
from botocore.config import Config
from kill_points import KillPoints

from fanfold import Fold
from fanfold.errors import BatchIncomplete
from fanfold.loader import load_pipeline
from fanfold.model import Manifest, Plan, RunIdentity
from fanfold.rate_limit import Unlimited
from fanfold.readers import from_list, write_items
from fanfold.sources.endpoint import Endpoint
from fanfold.sources.session import ApiSession
from fanfold.sources.version import source_version
from fanfold.stages import consolidating, loading, planning, publishing
from fanfold.stages.consolidating.tolerance import check_tolerance
from fanfold.stages.fetching import fetch_batch, parts
from fanfold.stages.fetching.backoff import Backoff
from fanfold.stages.fetching.workers import WorkerPool
from fanfold.stages.processing import arrow_schema, process_batch
from fanfold.storage.objects import Bucket
from fanfold.workspace.files import read_json
from fanfold.workspace.paths import Workspace

dumps = json.dumps  # without a kill point
PART_ITEMS = 4  # a few users make several parts
TOLERATED = 50
QUICK = Backoff(attempts=3, first=0.01, cap=0.05)
FOLD = Fold(
    "users_by_gender",
    key=("gender",),
    sql="SELECT gender, count(*) AS users, sum(followers_count)::BIGINT AS followers "
    "FROM dataset GROUP BY gender",
)
LOADED = load_pipeline("weibo_user_profiles")
PIPELINE = replace(LOADED.pipeline, folds=(FOLD,))
LOADED = replace(LOADED, pipeline=PIPELINE)


class Stages:
    """The stages of one run, called as its tasks call them."""

    def __init__(self, given, points):
        self.given = given
        self.points = points
        self.workspace = Workspace(Path(given["workspace"]))
        date = datetime.fromisoformat(given["date"])
        self.run = RunIdentity("users", given["run"], date)

    def plan(self):
        located = from_list(self.given["users"], PIPELINE.item_column)
        write_items(self.workspace, located, PIPELINE.check_item)
        planning.write_plan(
            self.workspace,
            PIPELINE,
            wanted_size=self.given["batch_size"],
            logical_date=self.given["date"],
            started_at=self.given["date"],
        )

    def _batches(self):
        plan = Plan.from_json(read_json(self.workspace.plan))
        return map(self.workspace.batch, range(plan.batches))

    def fetch(self):
        parts.PART_ITEMS = PART_ITEMS
        endpoint = Endpoint("weibo_default", self.given["source"], token=self.given["token"])
        source, as_of = PIPELINE.source, self.run.logical_date
        for batch in self._batches():
            # Airflow would retry a batch with failed items; the other batches continue.
            with ApiSession(source, endpoint, as_of=as_of) as session, suppress(BatchIncomplete):
                pool = partial(WorkerPool, session, Unlimited(), concurrency=4, backoff=QUICK)
                fetch_batch(batch, pool, version=source_version(source))

    def process(self):
        for batch in self._batches():
            self._close(batch)

    def _close(self, batch):
        return process_batch(batch, LOADED, as_of=self.run.logical_date)

    def consolidate(self):
        manifest = consolidating.consolidate(
            self.workspace,
            self.run,
            LOADED,
            self._close,
            schema=arrow_schema(PIPELINE.contract),
            version=source_version(PIPELINE.source),
        )
        check_tolerance(self.workspace, manifest, TOLERATED, TOLERATED)

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
            loading.load(
                connection,
                self.workspace.dataset,
                self._manifest(),
                loading.targets_of(PIPELINE),
                connection_id="warehouse_default",
            )

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
