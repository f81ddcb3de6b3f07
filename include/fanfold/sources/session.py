"""A session with a source: what ``fetch``, ``plan`` and ``preflight`` ask of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self, TypeVar

from fanfold.errors import SourceBusy
from fanfold.sources import Found, Reply
from fanfold.sources.http import MAX_BODY, HttpClient

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fanfold.sources import Probe, Quota, Source
    from fanfold.sources.endpoint import Endpoint
    from fanfold.sources.http import Response

T = TypeVar("T")


class Session:
    """A source at one endpoint. Thread-safe; a context manager that closes its connections.

    Attributes:
        items_per_request: Maximum number of items per request.
    """

    def __init__(self, source: Source, endpoint: Endpoint) -> None:
        self.items_per_request = source.items_per_request(endpoint)
        self._source = source
        self._endpoint = endpoint
        self._http = HttpClient(endpoint, *source.credentials(endpoint))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def fetch(self, keys: Sequence[str]) -> Reply:
        """Request one or several items.

        Raises:
            CredentialRefused: The source rejected the token.
            QuotaSpent: The quota is used up.
            SourceBusy: No valid response; the request may be repeated.
            ItemRefused: The source will never answer this request, perhaps because of one item.
        """
        several = self._source.several if len(keys) > 1 else None
        call = several.call(keys) if several else self._source.call(keys[0])
        response = self._http.get(call, MAX_BODY * len(keys))
        pause = self._source.exhausted_for(response) if self._source.exhausted_for else None
        try:
            return self._read(keys, response, pause)
        except SourceBusy as error:
            if error.retry_after is None:
                error.retry_after = pause
            raise

    def _read(self, keys: Sequence[str], response: Response, pause: float | None) -> Reply:
        if self._source.several and len(keys) > 1:
            return Reply(self._source.several.read(keys, response), {}, pause)
        found = self._source.read(keys[0], response)
        if isinstance(found, Found):
            return Reply({keys[0]: found.record}, {}, pause)
        return Reply({}, {keys[0]: found.reason}, pause)

    def check(self) -> None:
        """Check the endpoint and its token.

        Raises:
            CredentialRefused: The source rejected the token.
            SourceBusy: The source is unavailable.
        """
        self._send(self._source.check)

    def quota(self) -> Quota | None:
        """Return the quota that the source reports, or None; raises as :meth:`fetch` does."""
        return self._send(self._source.quota)

    def _send(self, probe: Probe[T]) -> T:
        return probe.read(self._http.get(probe.call(self._endpoint)))
