"""Faults in the connection, the head and the length of a response."""

from __future__ import annotations

from dataclasses import replace
from itertools import repeat

from fanfold.simulator.exchange import Delivery, deliver
from fanfold.simulator.faults.case import Case, kind

kind("drop")(lambda _: Delivery(0, b"", close=True))


@kind("drop_mid")
def _drop_mid(case: Case) -> Delivery:
    correct = case.correct()
    half = correct.body[: len(correct.body) // 2]
    return Delivery(correct.status, correct.head() + half, close=True)


@kind("reset_mid")
def _reset_mid(case: Case) -> Delivery:
    """``drop_mid`` with a TCP reset."""
    return replace(_drop_mid(case), close=False, reset=True)


@kind("slow")
def _slow(case: Case) -> Delivery:
    return replace(deliver(case.correct()), delay_s=case.settings.slow_s)


@kind("trickle")
def _trickle(case: Case) -> Delivery:
    """The body byte by byte, so that no read times out."""
    correct = case.correct()
    return Delivery(
        correct.status,
        correct.head(),
        more=map(_byte, correct.body),
        pause_s=case.settings.trickle_s,
    )


@kind("trickle_head")
def _trickle_head(case: Case) -> Delivery:
    correct = case.correct()
    whole = correct.head() + correct.body
    return Delivery(correct.status, b"", more=map(_byte, whole), pause_s=case.settings.trickle_s)


def _byte(value: int) -> bytes:
    return bytes((value,))


@kind("not_http")
def _not_http(case: Case) -> Delivery:
    """HTTP/0.9, another protocol, or an invalid status line."""
    body = case.correct().body
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
    correct = case.correct()
    return deliver(replace(correct, headers=correct.headers + headers))


@kind("bad_headers")
def _bad_headers(case: Case) -> Delivery:
    """The correct response with invalid header lines."""
    correct = case.correct()
    lines = b"this line has no colon\r\n: no name\r\nX-Odd\xff: \x00\xff\r\n"
    return deliver(replace(correct, headers=correct.headers + lines))


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
    correct = case.correct()
    return Delivery(correct.status, correct.head(length=len(correct.body) + 1_000) + correct.body)


@kind("length_short")
def _length_short(case: Case) -> Delivery:
    """A Content-Length too small; the rest precedes the next response."""
    correct = case.correct()
    return Delivery(correct.status, correct.head(length=len(correct.body) // 2) + correct.body)


@kind("two_lengths")
def _two_lengths(case: Case) -> Delivery:
    correct = case.correct()
    return deliver(replace(correct, headers=correct.headers + b"Content-Length: 5\r\n"))


@kind("two_answers")
def _two_answers(case: Case) -> Delivery:
    """The correct response, followed by an unrequested "no such user"."""
    correct = case.correct()
    unasked = case.api.error(case.request, 20003)
    return Delivery(correct.status, correct.head() + correct.body + unasked.head() + unasked.body)
