"""Lists of users to try a pipeline with: those of ``make run`` and ``make cluster-run``."""

from __future__ import annotations

import random

_KNOWN = range(1_000_000_000, 8_000_000_000)
"""The uids that the simulator knows."""


def user_ids(users: int) -> list[str]:
    """Return that many uids, the same each time; one in a hundred, and at least one, is unknown.

    A single user is a known one.
    """
    unknown = max(1, users // 100) if users > 1 else 0
    chosen = random.Random(users)  # noqa: S311 - an example, no secret
    known = chosen.sample(_KNOWN, users - unknown)
    strangers = chosen.sample(range(_KNOWN.stop, _KNOWN.stop + 1_000_000_000), unknown)
    everyone = [str(uid) for uid in (*known, *strangers)]
    chosen.shuffle(everyone)
    return everyone
