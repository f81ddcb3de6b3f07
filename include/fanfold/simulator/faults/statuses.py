"""Faults in the HTTP status or the error of the API."""

from __future__ import annotations

import json

from fanfold.simulator.exchange import HTML, Delivery, Reply, deliver
from fanfold.simulator.faults.case import Case, always, kind


def page(title: str) -> bytes:
    """Return an HTML page as sent by proxies and captive portals."""
    return (
        f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\n".encode()
    )


_BUSY = (10001, 10002, 10003, 10009)
kind("busy")(lambda case: deliver(case.api.error(case.request, _BUSY[case.draw % len(_BUSY)])))
kind("unknown")(lambda case: deliver(case.api.error(case.request, 20003)))
kind("unknown_code")(lambda case: deliver(case.api.error(case.request, 99999)))
always("http_500", Reply(500, b'{"error":"Internal Server Error"}'))
always("http_502", Reply(502, page("502 Bad Gateway"), HTML))


def _retry_after(case: Case) -> bytes:
    return b"Retry-After: %d\r\n" % case.settings.retry_after_s


@kind("http_503")
def _http_503(case: Case) -> Delivery:
    return deliver(Reply(503, page("503 Service Unavailable"), HTML, _retry_after(case)))


@kind("http_429")
def _http_429(case: Case) -> Delivery:
    reply = Reply(429, b'{"error":"Too many requests"}', headers=_retry_after(case))
    return deliver(reply)


_ODD_RETRY_AFTER = (
    b"soon", b"", b"-5", b"1.5", b"9" * 40, b"Fri, 99 Foo 0000 00:00:00 GMT",
)  # fmt: skip


@kind("odd_retry_after")
def _odd_retry_after(case: Case) -> Delivery:
    """503 with an invalid ``Retry-After``."""
    headers = b"Retry-After: %s\r\n" % _ODD_RETRY_AFTER[case.draw % len(_ODD_RETRY_AFTER)]
    return deliver(Reply(503, page("503 Service Unavailable"), HTML, headers))


@kind("redirect")
def _redirect(case: Case) -> Delivery:
    """Redirect to another host; a client that follows leaks the token."""
    status = (301, 302, 303, 307, 308)[case.draw % 5]
    location = f"Location: {case.settings.redirect_to}{case.request.path}\r\n".encode()
    return deliver(Reply(status, page("Moved"), HTML, location))


_ODD_CODES = (
    '"many"', '""', "[]", "{}", "1e999", "-1", "true", "20003.5", '"２０００３"', "1" + "0" * 400,
)  # fmt: skip


@kind("odd_code")
def _odd_code(case: Case) -> Delivery:
    """An error whose code is not a number, or is ambiguous."""
    code = _ODD_CODES[case.draw % len(_ODD_CODES)]
    path = json.dumps(case.request.path)
    body = f'{{"error":"Something is odd","error_code":{code},"request":{path}}}'
    return deliver(Reply(400, body.encode()))
