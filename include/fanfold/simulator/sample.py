"""Pipelines whose API the simulator speaks or whose files it makes, and their samples for ``make run``."""

from __future__ import annotations

import hashlib
import random
from typing import TYPE_CHECKING, Any, NamedTuple

from fanfold.simulator import market, shop, weather
from fanfold.simulator.functions import ACCESS_KEY
from fanfold.simulator.people import FIRST_UID, LAST_UID

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import date

USERS = 300
"""Users of a sample run by default."""


def user_ids(users: int) -> list[str]:
    """Return a fixed sample of uids; of two or more, 1 % and at least one do not exist."""
    unknown = _unknown(users)
    chosen = random.Random(users)  # noqa: S311 - an example, no secret
    uids = chosen.sample(range(FIRST_UID, LAST_UID + 1), users - unknown)
    uids += chosen.sample(range(LAST_UID + 1, LAST_UID + 1_000_000_001), unknown)
    chosen.shuffle(uids)
    return list(map(str, uids))


def accounts(users: int) -> list[str]:
    """Return a fixed sample of Mastodon accounts; of two or more, 1 % do not exist."""
    unknown = _unknown(users)
    names = [f"user{number}" for number in range(users - unknown)]
    return names + [f"nobody{number}" for number in range(unknown)]


def _unknown(users: int) -> int:
    return max(1, users // 100) if users > 1 else 0


class Sample(NamedTuple):
    """The connection of a pipeline, and a function that returns N simulated users."""

    connection: str
    users: Callable[[int], list[str]]


SAMPLES = {
    "weibo_user_profiles": Sample("weibo_default", user_ids),
    "mastodon_user_profiles": Sample("mastodon_default", accounts),
    "function_map": Sample("function_default", user_ids),
}
"""Samples by pipeline."""
DELIVERIES: dict[str, Callable[[date, int], Iterable[tuple[str, bytes]]]] = {
    market.PREFIX: market.delivery,
    shop.PREFIX: shop.delivery,
    weather.PREFIX: weather.delivery,
}
"""Sample files by their prefix in a bucket: ``(today, number of the delivery) -> key and content``."""
PREREQUISITES = {
    "account_segments": "weibo_user_profiles",
    "weibo_topic_authors": "weibo_hot_topics",
}
"""DAGs that read what another one published, by their dag_id."""
HOURLY = ("weibo_hot_topics", "mastodon_hot_topics")
"""Pipelines for which each `make run` is an hour after the one before, so that there is something new."""
CONNECTIONS = ("weibo_default", "mastodon_default", "tushare_default", "sample_default")
"""Airflow connections of the HTTP APIs that the simulator speaks."""
FUNCTIONS = "function_default"
"""That of the functions that it runs, through the API of AWS Lambda."""


def connections(url: str, token: str) -> dict[str, dict[str, Any]]:
    """Return the Airflow connections of a simulator: fields by id, ``extra`` as an object."""
    http = {"conn_type": "http", "host": url, "password": token}
    extra = {"endpoint_url": url, "region_name": "us-east-1"}
    aws = {"conn_type": "aws", "login": ACCESS_KEY, "password": token, "extra": extra}
    return {**{name: {**http} for name in CONNECTIONS}, FUNCTIONS: aws}


def upload(client: Any, bucket: str, prefix: str, files: Iterable[tuple[str, bytes]]) -> int:
    """Upload the files that a bucket lacks or has in another version; return their number.

    Args:
        client: A boto3 client for S3.
        bucket: Its bucket.
        prefix: That of all files.
        files: Key and content of each.
    """
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    present = {
        each["Key"]: each["ETag"].strip('"') for page in pages for each in page.get("Contents", ())
    }
    uploaded = 0
    for key, content in files:
        if present.get(key) != hashlib.md5(content, usedforsecurity=False).hexdigest():
            client.put_object(Bucket=bucket, Key=key, Body=content)
            uploaded += 1
    return uploaded
