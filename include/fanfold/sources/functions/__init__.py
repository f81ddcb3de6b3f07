"""Functions in the cloud: one session for all services (``session``), one module for each service.

A service calls one function; the session decides which one and with what. Failures of a service and of a
function become Fanfold's errors here:

* The function raised an exception, or its result or payload is too large: ``ItemRefused``, as another call
  would end in the same way.
* The function exceeded its own time limit, the service throttles, fails or does not answer: ``SourceBusy``.
* There is no such function, or it may not be called: ``BadConfiguration``, ``CredentialRefused``.

The services and their limits: "Invoke" in the AWS Lambda API Reference, "InvokeFunction" in the API
documentation of Tencent SCF (https://cloud.tencent.com/document/product/583/58400).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from fanfold.errors import BadConfiguration, CredentialRefused, ItemRefused, SourceBusy
from fanfold.messages import ENGINE

if TYPE_CHECKING:
    from fanfold.errors import FanfoldError

MAX_PAYLOAD = 6 << 20
"""Bytes of a payload, for calls that wait for the result: 6 MB, as Lambda and SCF document."""
MAX_BYTES = 6_291_556
"""Bytes of a result: that of Lambda as in its error message, 100 more; SCF documents 6 MB."""
THROTTLE_PAUSE = 1.0
"""Seconds that calls pause if a service throttles them and does not report for how long."""
_MAX_TEXT = 300
_REQUEST_ID = re.compile(r"(RequestId: )?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}:? ?")


@dataclass(frozen=True, slots=True)
class Returned:
    """What a function returned.

    Attributes:
        document: A JSON document.
        gb_seconds: Billed duration in seconds times memory in GB (2^30 bytes); 0 if it is unknown.
    """

    document: Any
    gb_seconds: float = 0.0


class Service(Protocol):
    """Calls functions at one endpoint. Thread-safe.

    Attributes:
        max_bytes: Size of a payload, or None.
        place: Its URL without credentials, and its region.
    """

    max_bytes: int | None
    place: str

    def call(self, name: str, payload: bytes, key: str) -> Returned:
        """Call a function with a JSON document and an idempotency key.

        Raises:
            ItemRefused: Another call would end in the same way.
            SourceBusy: Another call may succeed.
            CredentialRefused, BadConfiguration: Needs manual action: no call will succeed.
        """

    def check(self, name: str) -> None:
        """Check that a function exists and may be called, without calling it; raises as :meth:`call`."""

    def close(self) -> None:
        """Close all connections."""


def raised(name: str, error: str) -> ItemRefused:
    """Return the error for an exception in a function, with its type and text.

    Request ids are removed, so that equal reasons are equal.
    """
    error = " ".join(_REQUEST_ID.sub("", error).split())
    shown = error if len(error) <= _MAX_TEXT else f"{error[:_MAX_TEXT]}…"
    return ItemRefused(ENGINE.message("call.raised", name=name, error=shown or "?"))


def timed_out(name: str) -> SourceBusy:
    """Return the error for a function that exceeded its own time limit."""
    return SourceBusy(ENGINE.message("call.timed_out", name=name))


def throttled(name: str, code: str, seconds: float | None = None) -> SourceBusy:
    """Return the error for a call that the service throttled; all calls pause for some seconds."""
    return SourceBusy(
        ENGINE.message("call.throttled", name=name, code=code),
        retry_after=THROTTLE_PAUSE if seconds is None else seconds,
        overloaded=True,
    )


def failed(name: str, code: str, *, overloaded: bool = False) -> SourceBusy:
    """Return the error for a failure of the service."""
    return SourceBusy(ENGINE.message("call.failed", name=name, code=code), overloaded=overloaded)


def not_accepted(name: str, code: str) -> ItemRefused:
    """Return the error for a call that the service will never accept."""
    return ItemRefused(ENGINE.message("call.not_accepted", name=name, code=code))


def result_too_large(name: str, limit: int) -> ItemRefused:
    """Return the error for a result that is too large."""
    return ItemRefused(ENGINE.message("call.result_too_large", name=name, limit=limit))


def denied(name: str, code: str, connection: str, needs: str = "") -> CredentialRefused:
    """Return the error for a call that the connection may not make.

    ``needs`` is the permission that it needs; "" if what it needs is a valid token.
    """
    id_ = "call.denied" if needs else "call.token"
    return CredentialRefused(
        ENGINE.message(id_, name=name, code=code, connection=connection, needs=needs)
    )


def clock(name: str, code: str) -> FanfoldError:
    """Return the error for a signature that is too old, or of the future."""
    return BadConfiguration(ENGINE.message("call.clock", name=name, code=code))


def missing(name: str, code: str, connection: str, where: str) -> BadConfiguration:
    """Return the error for a function that does not exist at an address or in a region."""
    return BadConfiguration(
        ENGINE.message("call.no_function", name=name, code=code, connection=connection, where=where)
    )
