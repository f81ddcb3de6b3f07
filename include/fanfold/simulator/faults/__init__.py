"""Ways to misbehave. A new one is one small function with ``@kind`` above it.

A fault gets the :class:`Case` and returns the :class:`~fanfold.simulator.exchange.Delivery` that
goes on the wire instead of the right answer. Which request gets which fault depends on the seed,
the item and the number of the attempt alone, so a run can be repeated and a retry can succeed.

| module | what is wrong |
|---|---|
| ``statuses`` | the status, or the error that the API tells |
| ``transport`` | the connection, the head, the length |
| ``streams`` | the body as bytes: too long, chunked, compressed |
| ``documents`` | the body as JSON |
| ``profiles`` | a profile, in well-formed JSON |
"""

from fanfold.simulator.faults import documents, profiles, statuses, streams, transport
from fanfold.simulator.faults.case import KINDS, Case, chosen, delivery, draw, kind, known

__all__ = [
    "KINDS",
    "Case",
    "chosen",
    "delivery",
    "documents",
    "draw",
    "kind",
    "known",
    "profiles",
    "statuses",
    "streams",
    "transport",
]
