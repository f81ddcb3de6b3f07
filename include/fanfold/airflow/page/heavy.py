"""Queries that compute over whole datasets: one at a time in each process of the api-server.

They run in FastAPI's thread pool, which Airflow's own routes share: few may wait, and not for long.
DuckDB releases Python's lock, so other requests are answered meanwhile.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fanfold.airflow.page.refusal import Refusal
from fanfold.errors import BadInput, BadPipeline

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_WAITING = 4
_WAIT = 20
"""Seconds."""
_one = threading.Lock()
_waiting = threading.BoundedSemaphore(_MOST_WAITING)


@contextmanager
def heavy() -> Iterator[None]:
    """Run the block while no other one runs, and translate the errors of its queries.

    Raises:
        Refusal: Others run or wait; the query is too heavy, or does not fit the dataset.
    """
    busy = Refusal(503, "busy", "Another query is running. Try again in a moment.")
    if not _waiting.acquire(blocking=False):
        raise busy
    try:
        if not _one.acquire(timeout=_WAIT):
            raise busy
    finally:
        _waiting.release()
    try:
        yield
    except BadInput as error:
        raise Refusal(409, "unfit", str(error)) from error
    except BadPipeline as error:  # of time or memory: all queries are ours
        raise Refusal(503, "too_heavy", str(error)[:500]) from error
    finally:
        _one.release()
