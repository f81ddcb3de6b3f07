"""Functions behind HTTP: a JSON document by POST, answered with one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fanfold.errors import SourceBusy
from fanfold.sources import Call, functions
from fanfold.sources.functions import Returned
from fanfold.sources.http import MAX_BODY, HttpClient
from fanfold.sources.reading import read_by_status
from fanfold.sources.responses import retry_after, unexpected_response
from fanfold.sources.session import bearer

if TYPE_CHECKING:
    from fanfold.errors import Fatal
    from fanfold.sources import Response
    from fanfold.sources.endpoint import Endpoint


class HttpService:
    """Functions at one host; the password of the connection is sent as bearer token."""

    max_bytes: int | None = None

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self.place = endpoint.url
        self._http = HttpClient(endpoint, {}, bearer(endpoint))

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def call(self, name: str, payload: bytes, key: str) -> Returned:
        """Call a function; raises as :meth:`~fanfold.sources.functions.Service.call` does.

        404 and 410 with a JSON document are an answer: null. A page may be that of a proxy in front: it decides
        only if the call never succeeds.
        """
        call = Call(f"/{name.lstrip('/')}")
        try:
            response, _ = self._http.send(call, {"Idempotency-Key": key}, payload)
        except SourceBusy as error:
            if error.message.id == "http.too_large":
                raise functions.result_too_large(name, MAX_BODY) from None
            raise
        status, connection = response.status, self._endpoint.connection
        if status == 204:
            return Returned(None)
        if 200 <= status < 300 and not response.flaw:
            return Returned(response.body)
        if status in {401, 403}:
            denied = functions.denied(name, f"HTTP {status}", connection)
            raise _passing(response, denied) if response.flaw else denied
        if status == 404 and response.flaw:
            where = self._endpoint.url
            raise _passing(response, functions.missing(name, f"HTTP {status}", connection, where))
        if status == 429:
            raise functions.throttled(name, f"HTTP {status}", retry_after(response.headers))
        read_by_status(response)  # raises, but for 404 and 410
        return Returned(None)

    def check(self, name: str) -> None:  # noqa: ARG002 - a request with its path would call it
        """Check that the host answers."""
        response, _ = self._http.send(Call("/"))
        if response.status in {502, 503, 504}:
            raise unexpected_response(response)


def _passing(response: Response, permanent: Fatal) -> SourceBusy:
    error = unexpected_response(response)
    error.permanent = permanent
    return error
