"""A session with an API: what ``fetch``, ``plan`` and ``preflight`` ask of it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Self, TypeVar

from fanfold.errors import BadConfiguration, BadPipeline, FanfoldError, ItemRefused, SourceBusy
from fanfold.injection import inject
from fanfold.messages import ENGINE
from fanfold.sources import Call, Found, NotThere, Page, Reply
from fanfold.sources.author_errors import author_error
from fanfold.sources.http import HttpClient
from fanfold.sources.paging import Paging
from fanfold.sources.reading import read_by_status
from fanfold.sources.responses import unexpected_response
from fanfold.sources.template import rendered

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from fanfold.model import Item
    from fanfold.sources import Api, Probe, Quota, Response
    from fanfold.sources.endpoint import Endpoint

T = TypeVar("T")
_NO_API = {301, 302, 303, 307, 308, 400, 404, 405, 410, 501}
"""Statuses of a host that has another API, none, a login in front of it, or TLS at this port (400)."""


class ApiSession:
    """An API at one endpoint. Thread-safe; a context manager that closes its connections.

    Attributes:
        items_per_request: Maximum number of items per request.
        place: URL of the endpoint.
    """

    def __init__(self, api: Api, endpoint: Endpoint, *, as_of: datetime) -> None:
        self.items_per_request = api.items_per_request(endpoint)
        self.place = endpoint.url
        self._api = api
        self._endpoint = endpoint
        self._as_of = as_of
        self._call = inject(api.call, as_of=as_of) if api.call else None
        credentials = _credentials(api, endpoint)
        parameter = next(iter(credentials[0]), "")
        self._paging = Paging(api.pages, endpoint, parameter) if api.pages else None
        self._http = HttpClient(endpoint, *credentials)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def fetch(self, items: Sequence[Item], page: Page | None = None) -> Reply:
        """Request one or several items, or a further page of one.

        Raises:
            BadPipeline: A template has an unknown name, or a function returns something else.
            CredentialRefused: The source rejected the token.
            QuotaSpent: The quota is used up.
            SourceBusy: No valid response; the request may be repeated.
            ItemRefused: The source will never answer this request, perhaps because of one item.
        """
        several = self._api.several if len(items) > 1 else None
        if several:
            call = several.call(items)
        elif page:
            call = page.call
        else:
            call = self._first_call(items[0])
        response, body = self._http.send(call)
        pause = self._api.exhausted_for(response) if self._api.exhausted_for else None
        try:
            if several:
                read = several.read(items, response)
                return Reply({key: Found(read[key]).records for key in read}, {}, pause)
            return self._reply(items[0], page, call, response, body, pause)
        except SourceBusy as error:
            if error.retry_after is None:
                error.retry_after = pause
            error.not_found = 0 if page else _not_found(response, error)
            if error.not_found and self._endpoint.not_found_pages and not several:
                reason = ENGINE.message("http.no_item", status=error.not_found)
                return Reply({}, {items[0].key: reason}, pause)
            raise
        except FanfoldError:
            raise
        except Exception as error:  # perhaps the response has a form that it does not expect
            following = self._api.pages.following if self._api.pages else None
            function = several.read if several else self._api.read or following
            if function is None:
                raise
            raise SourceBusy(author_error(error, function)) from error

    def _first_call(self, item: Item) -> Call:
        if self._call is None:
            call = rendered(self._api, item, self._as_of)
        else:
            try:
                call = self._call(item)
            except FanfoldError:
                raise
            except Exception as error:
                raise ItemRefused(author_error(error, self._call)) from error
        if not isinstance(call, Call):
            raise BadPipeline(f"Api: call must return a Call, not {type(call).__name__}.")
        if self._api.token.startswith("body:") and not isinstance(call.json, dict):
            raise BadPipeline(f"Api: token={self._api.token!r} needs a JSON object as body.")
        return self._paging.first(call) if self._paging else call

    def _reply(  # noqa: PLR0913, PLR0917 - a request and its response
        self,
        item: Item,
        page: Page | None,
        call: Call,
        response: Response,
        body: bytes,
        pause: float | None,
    ) -> Reply:
        found = self._read(item, response)
        if self._paging is None:
            if isinstance(found, Found):
                return Reply({item.key: found.records}, {}, pause)
            return Reply({}, {item.key: found.message}, pause)
        pages = self._paging.pages
        number = page.number if page else 1
        if not isinstance(found, Found):
            if page is None:
                return Reply({}, {item.key: found.message}, pause)
            if pages.number is None:
                raise SourceBusy(ENGINE.message("api.page_gone", path=response.path, page=number))
            return Reply({item.key: ()}, {}, pause)  # the pages before it are all there are
        digest = hashlib.blake2b(body, digest_size=16).digest()
        if page and page.previous == digest:
            return Reply({item.key: ()}, {}, pause)
        following = None
        if pages.take is None or number < pages.take:
            following = self._paging.following(call, response, number, len(found.records))
        if number > pages.limit and (found.records or following):
            raise ItemRefused(ENGINE.message("api.too_many_pages", n=pages.limit))
        next_page = Page(following, number + 1, digest) if following else None
        return Reply({item.key: found.records}, {}, pause, next_page)

    def _read(self, item: Item, response: Response) -> Found | NotThere:
        if self._api.read is None:
            return read_by_status(response, self._api.records)
        found = self._api.read(item, response)
        if not isinstance(found, (Found, NotThere)):
            raise BadPipeline(
                f"Api: read must return Found or NotThere, not {type(found).__name__}."
            )
        return found

    def check(self) -> None:
        """Check the endpoint, and its token if the API has a request for that.

        Raises:
            CredentialRefused: The source rejected the token.
            SourceBusy: The source is unavailable.
        """
        if self._api.check:
            self._send(self._api.check)
            return
        # Many APIs answer 401, 404 or 501 here; only a proxy without a server behind it is down.
        response, _ = self._http.send(Call("/"))
        if response.status in {502, 503, 504}:
            raise unexpected_response(response)

    def list_items(self) -> Sequence[Any]:
        """Return the items that the API lists; raises as :meth:`fetch` does."""
        listing = self._api.listing
        if listing is None:
            return ()
        response, _ = self._http.send(listing.call(self._as_of))
        try:
            found = listing.read(response)
        except SourceBusy as error:
            raise self._with_permanent(error, response) from None
        except FanfoldError:
            raise
        except Exception as error:
            raise SourceBusy(author_error(error, listing.read)) from error
        if not isinstance(found, (list, tuple)):
            raise unexpected_response(response)
        return found

    def quota(self) -> Quota | None:
        """Return the quota that the source reports, or None; raises as :meth:`fetch` does."""
        return self._send(self._api.quota) if self._api.quota else None

    def _send(self, probe: Probe[T]) -> T:
        calls = probe.call(self._endpoint)
        for call in (calls,) if isinstance(calls, Call) else calls:
            response, _ = self._http.send(call)
            if response.status not in {404, 410}:
                break
        try:
            return probe.read(response)
        except SourceBusy as error:
            raise self._with_permanent(error, response) from None

    def _with_permanent(self, error: SourceBusy, response: Response) -> SourceBusy:
        """Return an error about a request that is not for an item, with what it is if it does not pass."""
        if not error.message.id.startswith("http."):
            return error  # the API's own
        is_page = response.flaw and "html" in response.headers.get("Content-Type", "").lower()
        if response.status in _NO_API or (is_page and response.status < 300):
            message = ENGINE.message(
                "http.no_api",
                connection=self._endpoint.connection,
                url=self._endpoint.url,
                path=response.path,
                status=response.status,
            )
            error.permanent = BadConfiguration(message)
        return error


def _not_found(response: Response, error: SourceBusy) -> int:
    """Return the status of a response that says in no form of the API that there is nothing; else 0."""
    is_known = not response.flaw and error.message.id != "http.unexpected"
    return 0 if is_known or response.status not in {404, 410} else response.status


def _credentials(
    api: Api, endpoint: Endpoint
) -> tuple[Mapping[str, str], Mapping[str, str], Mapping[str, str]]:
    """Return query parameters, headers and fields that carry the endpoint's token, if it has one."""
    token = endpoint.token
    if token is None:
        return {}, {}, {}
    place, _, name = api.token.partition(":")
    if place == "query":
        return {name: token}, {}, {}
    if place == "body":
        return {}, {}, {name: token}
    if place == "bearer":
        return {}, bearer(endpoint), {}
    name, _, scheme = name.partition(" ")
    return {}, {name: f"{scheme} {_header_text(endpoint)}".strip()}, {}


def bearer(endpoint: Endpoint) -> Mapping[str, str]:
    """Return the header that carries an endpoint's token by default; none if it has no token."""
    return {"Authorization": f"Bearer {_header_text(endpoint)}"} if endpoint.token else {}


def _header_text(endpoint: Endpoint) -> str:
    """Return an endpoint's token if a header can carry it."""
    token = endpoint.token or ""
    if not token.isascii():
        raise BadConfiguration(
            f"Connection {endpoint.connection!r}: the password has characters that a header cannot "
            "carry; it must be ASCII."
        )
    return token
