"""Registration and selection of faults."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fanfold.simulator.exchange import Api, Delivery, Reply, Request, deliver

if TYPE_CHECKING:
    from collections.abc import Callable

    from fanfold.simulator.settings import Settings


@dataclass(frozen=True, slots=True)
class Case:
    """The input of a fault.

    ``correct`` returns the correct reply; ``draw`` is 64 random bits, a function of seed, item and
    attempt.
    """

    request: Request
    api: Api
    correct: Callable[[], Reply]
    settings: Settings
    draw: int


KINDS: dict[str, Callable[[Case], Delivery]] = {}


def kind(name: str) -> Callable[[Callable[[Case], Delivery]], Callable[[Case], Delivery]]:
    """Register a fault under a name."""

    def register(fault: Callable[[Case], Delivery]) -> Callable[[Case], Delivery]:
        KINDS[name] = fault
        return fault

    return register


def always(name: str, reply: Reply) -> None:
    """Register a fault that sends the same reply to every request."""
    kind(name)(lambda _: deliver(reply))


def known(name: str) -> bool:
    """Return whether a name is a fault or a Weibo error code."""
    return name in KINDS or (name.isascii() and name.isdigit() and len(name) == 5)


def draw(seed: int, item: str, attempt: int) -> int:
    """Return 64 bits, a function of seed, item and attempt."""
    text = f"{seed}\0{item}\0{attempt}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")


def chosen(settings: Settings, path: str, item: str, attempt: int) -> str:
    """Return the fault for an attempt, or an empty string."""
    if settings.first_attempts is not None and attempt > settings.first_attempts:
        return ""
    fixed = settings.uids.get(item) or settings.paths.get(path)
    if fixed:
        return fixed
    if item and settings.error_rate:
        left = draw(settings.seed, item, attempt) / 2**64
        for name in sorted(settings.error_rate):
            left -= settings.error_rate[name]
            if left < 0:
                return name
    return ""


def delivery(name: str, case: Case) -> Delivery:
    """Return the delivery of a fault."""
    if name in KINDS:
        result = KINDS[name](case)
    else:
        result = deliver(case.api.error(case.request, int(name)))
    return replace(result, fault=name)
