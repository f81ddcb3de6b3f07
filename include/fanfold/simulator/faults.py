"""Ways to misbehave. A new one is one small function with ``@kind`` above it.

A fault gets the :class:`Case` and returns the :class:`~fanfold.simulator.exchange.Delivery` that
goes on the wire instead of the right answer. Which request gets which fault depends on the seed,
the item and the number of the attempt alone, so a run can be repeated and a retry can succeed.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from itertools import repeat
from typing import TYPE_CHECKING, Any

from fanfold.simulator.exchange import HTML, Api, Delivery, Reply, Request, deliver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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


@kind("busy")
def _busy(case: Case) -> Delivery:
    return deliver(case.api.busy(case.request, case.draw))


@kind("unknown")
def _unknown(case: Case) -> Delivery:
    return deliver(case.api.unknown(case.request))


def _page(title: str) -> bytes:
    return (
        f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\n".encode()
    )


@kind("http_500")
def _http_500(case: Case) -> Delivery:  # noqa: ARG001 - every fault has the same shape
    return deliver(Reply(500, b'{"error":"Internal Server Error"}'))


@kind("http_502")
def _http_502(case: Case) -> Delivery:  # noqa: ARG001
    return deliver(Reply(502, _page("502 Bad Gateway"), HTML))


def _retry_after(case: Case) -> bytes:
    return b"Retry-After: %d\r\n" % case.settings.retry_after_s


@kind("http_503")
def _http_503(case: Case) -> Delivery:
    return deliver(Reply(503, _page("503 Service Unavailable"), HTML, _retry_after(case)))


@kind("http_429")
def _http_429(case: Case) -> Delivery:
    reply = Reply(429, b'{"error":"Too many requests"}', headers=_retry_after(case))
    return deliver(reply)


@kind("drop")
def _drop(case: Case) -> Delivery:  # noqa: ARG001
    return Delivery(0, b"", close=True)


@kind("drop_mid")
def _drop_mid(case: Case) -> Delivery:
    right = case.right()
    half = right.body[: len(right.body) // 2]
    return Delivery(right.status, right.head() + half, close=True)


@kind("truncated")
def _truncated(case: Case) -> Delivery:
    right = case.right()
    return deliver(replace(right, body=right.body[: len(right.body) // 2]))


@kind("not_json")
def _not_json(case: Case) -> Delivery:  # noqa: ARG001
    return deliver(Reply(200, _page("Welcome to the Wi-Fi of this hotel"), HTML))


@kind("slow")
def _slow(case: Case) -> Delivery:
    return replace(deliver(case.right()), delay_s=case.settings.slow_s)


@kind("huge")
def _huge(case: Case) -> Delivery:
    """A right answer after ``huge_bytes`` of blanks: JSON, but more than anyone wants."""
    right = case.right()
    block = b" " * 65_536
    blocks, rest = divmod(case.settings.huge_bytes, len(block))

    def body() -> Iterator[bytes]:
        yield from repeat(block, blocks)
        yield b" " * rest + right.body

    head = right.head(length=case.settings.huge_bytes + len(right.body))
    return Delivery(right.status, head, more=body())


@kind("endless")
def _endless(case: Case) -> Delivery:
    """A chunked body that never ends."""
    head = case.right().head()
    start, _, rest = head.partition(b"Content-Length: ")
    head = start + b"Transfer-Encoding: chunked\r\n" + rest.partition(b"\r\n")[2]
    return Delivery(200, head, more=repeat(b"10000\r\n" + b" " * 0x10000 + b"\r\n"))


def _spoilt(name: str, spoil: Callable[[dict[str, Any]], object]) -> None:
    """Register a fault that answers well-formed JSON with one thing wrong in it."""

    @kind(name)
    def _invalid(case: Case) -> Delivery:
        right = case.right()
        profile = json.loads(right.body)
        if right.status != 200 or not isinstance(profile, dict):
            return deliver(right)
        spoil(profile)
        return deliver(replace(right, body=json.dumps(profile, ensure_ascii=False).encode()))


def _of_another(profile: dict[str, Any]) -> None:
    """Weibo's id is a number (and ``idstr``), Mastodon's is a text."""
    other = int(profile["id"]) ^ 1
    profile["id"] = other if isinstance(profile["id"], int) else str(other)
    if "idstr" in profile:
        profile["idstr"] = str(other)


_spoilt("invalid_negative", lambda profile: profile.update(followers_count=-5))
_spoilt("invalid_text", lambda profile: profile.update(followers_count="many"))
_spoilt("invalid_date", lambda profile: profile.update(created_at="yesterday"))
_spoilt(
    "invalid_nameless", lambda profile: [profile.pop(key, None) for key in ("screen_name", "acct")]
)
_spoilt("invalid_other", _of_another)
_INVALID = sorted(name for name in KINDS if name.startswith("invalid_"))


@kind("invalid")
def _invalid(case: Case) -> Delivery:
    """One of the invalid profiles."""
    return KINDS[_INVALID[case.draw % len(_INVALID)]](case)
