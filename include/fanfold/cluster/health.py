"""Health check of containers: ``python -m fanfold.cluster.health URL [COMPONENT]``.

Checks that a server answers with 200, or that its answer, Airflow's ``/api/v2/monitor/health``,
reports a component as healthy. Imports the standard library only, because it runs every few seconds.
"""

from __future__ import annotations

import json
import sys
from http.client import HTTPException
from urllib.request import urlopen

TIMEOUT = 5.0


def problem(url: str, component: str | None = None) -> str | None:
    """Return what is unhealthy, or None.

    Args:
        url: An ``http`` address that answers with 200 while its server is healthy.
        component: The component in the answer: ``scheduler``, ``triggerer``, ``dag_processor``.
    """
    try:
        with urlopen(url, timeout=TIMEOUT) as answer:  # noqa: S310 - the address is configured here
            body = answer.read()
    except (OSError, HTTPException) as error:
        return f"{url}: {error}"
    if component is None:
        return None
    try:
        status = json.loads(body)[component]["status"]
    except (ValueError, KeyError, TypeError):
        return f"{url} does not report {component}"
    return None if status == "healthy" else f"{component} is {status}"


if __name__ == "__main__":
    sys.exit(problem(*sys.argv[1:]))
