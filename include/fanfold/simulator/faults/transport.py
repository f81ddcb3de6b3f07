"""Faults in the connection, the head and the length of a response."""

from __future__ import annotations

from dataclasses import replace
from itertools import repeat

from fanfold.simulator.exchange import Delivery, deliver
from fanfold.simulator.faults.case import Case, kind

kind("drop")(lambda _: Delivery(0, b"", close=True))


@kind("drop_mid")
def _drop_mid(case: Case) -> Delivery:
    right = case.right()
    half = right.body[: len(right.body) // 2]
    return Delivery(right.status, right.head() + half, close=True)


@kind("reset_mid")
def _reset_mid(case: Case) -> Delivery:
    """``drop_mid`` with a TCP reset."""
    return replace(_drop_mid(case), close=False, reset=True)


@kind("slow")
def _slow(case: Case) -> Delivery:
    return replace(deliver(case.right()), delay_s=case.settings.slow_s)


@kind("trickle")
def _trickle(case: Case) -> Delivery:
    """The body byte by byte, so that no read times out."""
    right = case.right()
    return Delivery(
        right.status, right.head(), more=map(_byte, right.body), pause_s=case.settings.trickle_s
    )


@kind("trickle_head")
def _trickle_head(case: Case) -> Delivery:
    right = case.right()
    whole = right.head() + right.body
    return Delivery(right.status, b"", more=map(_byte, whole), pause_s=case.settings.trickle_s)


def _byte(value: int) -> bytes:
    return bytes((value,))


@kind("not_http")
def _not_http(case: Case) -> Delivery:
    """HTTP/0.9, another protocol, or an invalid status line."""
    body = case.right().body
    garbage = (
        body,
        b"SSH-2.0-OpenSSH_9.2p1\r\n\x00\xff\x00\xff",
        b"HTTP/1.1 OK 200\r\n\r\n" + body,
    )
    return Delivery(0, garbage[case.draw % len(garbage)], close=True)


@kind("many_headers")
def _many_headers(case: Case) -> Delivery:
    """10,000 headers, about 200 KB."""
    headers = b"".join(b"X-Header-%05d: %05d\r\n" % (number, number) for number in range(10_000))
    right = case.right()
    return deliver(replace(right, headers=right.headers + headers))


@kind("bad_headers")
def _bad_headers(case: Case) -> Delivery:
    """The correct response with invalid header lines."""
    right = case.right()
    lines = b"this line has no colon\r\n: no name\r\nX-Odd\xff: \x00\xff\r\n"
    return deliver(replace(right, headers=right.headers + lines))


@kind("endless_header")
def _endless_header(case: Case) -> Delivery:  # noqa: ARG001
    """An infinite header line."""
    return Delivery(200, b"HTTP/1.1 200 OK\r\nX-Long: ", more=repeat(b"x" * 65_536))


@kind("endless_continue")
def _endless_continue(case: Case) -> Delivery:  # noqa: ARG001
    """Infinite ``100 Continue``, which clients skip, so that no read times out."""
    return Delivery(100, b"", more=repeat(b"HTTP/1.1 100 Continue\r\n\r\n" * 1_000))


@kind("length_long")
def _length_long(case: Case) -> Delivery:
    """A Content-Length 1,000 bytes too large; the connection stays open."""
    right = case.right()
    return Delivery(right.status, right.head(length=len(right.body) + 1_000) + right.body)


@kind("length_short")
def _length_short(case: Case) -> Delivery:
    """A Content-Length too small; the rest precedes the next response."""
    right = case.right()
    return Delivery(right.status, right.head(length=len(right.body) // 2) + right.body)


@kind("two_lengths")
def _two_lengths(case: Case) -> Delivery:
    right = case.right()
    return deliver(replace(right, headers=right.headers + b"Content-Length: 5\r\n"))


@kind("two_answers")
def _two_answers(case: Case) -> Delivery:
    """The correct response, followed by an unrequested "no such user"."""
    right = case.right()
    unasked = case.api.error(case.request, 20003)
    return Delivery(right.status, right.head() + right.body + unasked.head() + unasked.body)
