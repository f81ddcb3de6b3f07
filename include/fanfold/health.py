"""``python -m fanfold.health URL [COMPONENT]``: whether a server, or a component behind it, is well.

For the health checks of containers: it imports nothing but the standard library, since it runs every
few seconds. With a component, the answer must be Airflow's health (``/api/v2/monitor/health`` of the
api-server), in which this component is ``healthy``. A scheduler's own ``/health`` answers by status.
"""

from __future__ import annotations

import json
import sys
from http.client import HTTPException
from typing import TYPE_CHECKING
from urllib.request import urlopen

if TYPE_CHECKING:
    from collections.abc import Sequence

PATIENCE = 5.0
"""Seconds to wait for an answer."""


def complaint(url: str, component: str | None = None) -> str | None:
    """Return what is wrong, or None.

    Args:
        url: An ``http`` address that answers 200 while its server is well.
        component: The part of Airflow that must be healthy: ``scheduler``, ``triggerer``,
            ``dag_processor``.
    """
    try:
        with urlopen(url, timeout=PATIENCE) as answer:  # noqa: S310 - the address is our own
            told = answer.read()
    except (OSError, HTTPException) as error:
        return f"{url}: {error}"
    if component is None:
        return None
    try:
        status = json.loads(told)[component]["status"]
    except (ValueError, KeyError, TypeError):
        return f"{url} says nothing of {component}"
    return None if status == "healthy" else f"{component} is {status}"


def main(arguments: Sequence[str]) -> int:
    """Return 0 where all is well; say what is not and return 1 otherwise."""
    if not 1 <= len(arguments) <= 2:
        print("usage: python -m fanfold.health URL [COMPONENT]", file=sys.stderr)  # noqa: T201
        return 2
    found = complaint(*arguments)
    if found is not None:
        print(found, file=sys.stderr)  # noqa: T201
    return int(found is not None)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
