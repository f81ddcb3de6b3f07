"""What a fault gets, how it is registered under its name, and when it is chosen."""

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
    """What a fault has to work with.

    Attributes:
        request: What was asked.
        api: The API that was asked, for errors in its own words.
        right: Makes the reply that a healthy server would give.
        settings: How long, how large.
        draw: 64 bits that depend on seed, item and attempt alone.
    """

    request: Request
    api: Api
    right: Callable[[], Reply]
    settings: Settings
    draw: int


KINDS: dict[str, Callable[[Case], Delivery]] = {}


def kind(name: str) -> Callable[[Callable[[Case], Delivery]], Callable[[Case], Delivery]]:
    """Register a fault under the name that the settings use."""

    def register(fault: Callable[[Case], Delivery]) -> Callable[[Case], Delivery]:
        KINDS[name] = fault
        return fault

    return register


def known(name: str) -> bool:
    """Whether there is such a fault; a number stands for the Weibo error of that code."""
    return name in KINDS or _is_code(name)


def _is_code(name: str) -> bool:
    return name.isascii() and name.isdigit() and len(name) == 5


def draw(seed: int, item: str, attempt: int) -> int:
    """64 bits from seed, item and attempt: the same on every machine."""
    text = f"{seed}\0{item}\0{attempt}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")


def chosen(settings: Settings, path: str, item: str, attempt: int) -> str:
    """Choose the fault for one attempt; returns "" where there is none."""
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
    """What the fault of this name puts on the wire."""
    if name in KINDS:
        result = KINDS[name](case)
    else:
        result = deliver(case.api.coded(case.request, int(name)))
    return replace(result, fault=name)
