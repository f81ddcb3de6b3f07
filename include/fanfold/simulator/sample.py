"""Sample user lists for ``make run`` and ``make cluster-run``."""

from __future__ import annotations

import random

from fanfold.simulator.people import FIRST_UID, LAST_UID


def user_ids(users: int) -> list[str]:
    """Return a fixed sample of uids; of two or more, 1 % and at least one do not exist."""
    unknown = max(1, users // 100) if users > 1 else 0
    chosen = random.Random(users)  # noqa: S311 - an example, no secret
    uids = chosen.sample(range(FIRST_UID, LAST_UID + 1), users - unknown)
    uids += chosen.sample(range(LAST_UID + 1, LAST_UID + 1_000_000_001), unknown)
    chosen.shuffle(uids)
    return list(map(str, uids))
