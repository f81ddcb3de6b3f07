"""The files of the simulated shop."""

from __future__ import annotations

from datetime import date

import boto3
import pytest

from fanfold.local.s3 import running_s3
from fanfold.simulator import shop
from fanfold.simulator.sample import upload

TODAY = date(2026, 11, 27)
BUCKET = "orders"


@pytest.fixture(scope="module")
def client():
    with running_s3() as server:
        made = boto3.client(
            "s3",
            endpoint_url=server.url,
            aws_access_key_id=server.access_key,
            aws_secret_access_key=server.secret_key,
            region_name="us-east-1",
        )
        made.create_bucket(Bucket=BUCKET)
        yield made
        made.close()


def listed(client):
    return {
        each["Key"].removeprefix(shop.PREFIX): each["ETag"]
        for each in client.list_objects_v2(Bucket=BUCKET)["Contents"]
    }


def deliver(client, today, number):
    return upload(client, BUCKET, shop.PREFIX, shop.delivery(today, number, 10))


def test_deliveries_upload_what_is_new_or_changed(client):
    uploaded = deliver(client, TODAY, 1)
    first = listed(client)
    assert uploaded == len(first)
    assert deliver(client, TODAY, 1) == 0
    uploaded = deliver(client, TODAY, 2)
    second = listed(client)
    changed = {name for name in first if second[name] != first[name]}
    assert changed == {"date=2026-11-24/app.jsonl.gz", "date=2026-11-25/web.csv"}
    assert second.keys() - first.keys() == {
        "date=2026-11-24/market.parquet",
        *(f"date=2026-11-26/{name}" for name in (*shop.CHANNELS, "refunds-2.csv")),
    }
    assert uploaded == len(changed) + len(second) - len(first)
    # Each further delivery of a day has refunds; one of a later day has the days between, too.
    assert deliver(client, TODAY, 3) == 1
    assert deliver(client, date(2026, 11, 29), 4) == 7


def test_files_of_a_day_do_not_depend_on_when_they_are_made():
    early = dict(shop.delivery(TODAY, 2, 5))
    shop.orders.cache_clear()
    late = dict(shop.delivery(date(2026, 11, 29), 2, 5))
    both = early.keys() & late.keys()
    assert len(both) > 9
    assert all(early[name] == late[name] for name in both if "refunds" not in name)
