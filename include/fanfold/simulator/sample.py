"""Pipelines whose API the simulator speaks or whose files it makes, and their samples for ``make run``."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, NamedTuple

from fanfold.simulator import shop
from fanfold.simulator.people import FIRST_UID, LAST_UID

if TYPE_CHECKING:
    from collections.abc import Callable
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
}
"""Samples by pipeline."""
DELIVERIES: dict[str, Callable[[Any, str, date, int], int]] = {"order_analysis": shop.deliver}
"""What uploads the files of a pipeline: ``(client, bucket, today, number of the delivery) -> files``."""
CONNECTIONS = ("weibo_default", "mastodon_default", "sample_default")
"""Airflow connections of the APIs that the simulator speaks."""
