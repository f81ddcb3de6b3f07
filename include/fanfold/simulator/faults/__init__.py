"""Faults to inject; each is a function with ``@kind``.

A fault gets a :class:`Case` and returns the :class:`~fanfold.simulator.exchange.Delivery` to send
instead of the correct response. The choice of a fault is a function of seed, item and attempt, so a
run can be repeated and a retry can succeed.

| module | faults in |
|---|---|
| ``statuses`` | the HTTP status or the error of the API |
| ``transport`` | the connection, the head and the length |
| ``streams`` | the body as bytes: length, chunks, compression |
| ``documents`` | the body as JSON |
| ``profiles`` | the values of a profile |
| ``functions`` | functions in a cloud |
"""

from fanfold.simulator.faults import documents, functions, profiles, statuses, streams, transport
from fanfold.simulator.faults.case import KINDS, Case, chosen, delivery, draw, known

__all__ = ["KINDS", "Case", "chosen", "delivery", "draw", "known"]
__all__ += ["documents", "functions", "profiles", "statuses", "streams", "transport"]
