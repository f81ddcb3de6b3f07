"""Pipelines whose API the simulator speaks or whose files it makes, and their samples for ``make run``."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, NamedTuple

from fanfold.simulator import market, shop, weather
from fanfold.simulator.functions import ACCESS_KEY
from fanfold.simulator.people import FIRST_UID, LAST_UID

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import date

USERS = 300
"""Users of a sample run by default."""


_STEP = 4_326_237_443
"""Between neighbours of the list of uids, modulo their number; without a common divisor, so that none repeats."""


def user_ids(users: int) -> list[str]:
    """Return the first uids of a fixed list; the second of each hundred does not exist."""
    return [
        str(
            LAST_UID + 1 + number * _STEP % 1_000_000_000
            if _is_unknown(number)
            else FIRST_UID + (number + 1) * _STEP % (LAST_UID - FIRST_UID + 1)
        )
        for number in range(users)
    ]


def accounts(users: int) -> list[str]:
    """Return the first Mastodon accounts of a fixed list; the second of each hundred does not exist."""
    return [f"{'nobody' if _is_unknown(number) else 'user'}{number}" for number in range(users)]


def _is_unknown(number: int) -> bool:
    return number % 100 == 1


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
LIVING = {name: sample.connection for name, sample in SAMPLES.items()} | {
    "weibo_hot_topics": "weibo_default",
    "mastodon_hot_topics": "mastodon_default",
    "weibo_topic_authors": "weibo_default",
}
"""Pipelines, and their connections, for which each `make run` is an hour after the one before, so that something
has changed."""
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
