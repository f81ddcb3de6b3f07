"""The request for the next page of an item."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urljoin, urlsplit

from fanfold.errors import ItemRefused, SourceBusy
from fanfold.messages import ENGINE

if TYPE_CHECKING:
    from fanfold.sources import Call, Pages, Response
    from fanfold.sources.endpoint import Endpoint

MISSING = object()


def at_path(document: Any, path: str) -> Any:
    """Return the value at a dotted path of a JSON document, or ``MISSING``; names may have dots."""
    while path:
        if not isinstance(document, dict):
            return MISSING
        if path in document:
            return document[path]
        name, _, path = path.partition(".")
        document = document.get(name, MISSING) if path else MISSING
    return document


@dataclass(frozen=True, slots=True)
class Paging:
    """The pages of an API at an endpoint.

    Attributes:
        token_parameter: Query parameter with the endpoint's token, or "".
    """

    pages: Pages
    endpoint: Endpoint
    token_parameter: str

    def first(self, call: Call) -> Call:
        """Return the request for the first page of an item."""
        pages = self.pages
        return call if pages.number is None else _with(call, pages.param, pages.number)

    def following(self, call: Call, response: Response, page: int, records: int) -> Call | None:
        """Return the request for the page after this one, or None if it is the last.

        Args:
            call: The request for the page.
            response: Its response.
            page: Number of the page; the first one is 1.
            records: Number of its records.

        Raises:
            ItemRefused: The next page is at another host.
            SourceBusy: The response has an unexpected form.
        """
        pages = self.pages
        if pages.following:
            return pages.following(call, response)
        if pages.number is not None:
            return _with(call, pages.param, pages.number + page) if records else None
        if pages.token:
            token = at_path(response.body, pages.token)
            if token is MISSING or not token:
                return None
            if not isinstance(token, (str, int)) or token is True:
                raise _unexpected(response, pages.token)
            return _with(call, pages.param, token)
        if pages.link == "Link":
            link: Any = _link_header(response.headers.get("Link", ""))
        else:
            link = at_path(response.body, pages.link)
        if link is MISSING or not link:
            return None
        if not isinstance(link, str):
            raise _unexpected(response, pages.link)
        return self._linked(call, link, response)

    def _linked(self, call: Call, link: str, response: Response) -> Call:
        """Return the request for a link: absolute, or relative to the request's URL."""
        sent = urlencode(call.query)
        base = f"{self.endpoint.url}{call.path}{'?' if sent else ''}{sent}"
        try:
            parts = urlsplit(urljoin(base, link))
            host = parts.hostname
        except ValueError:
            raise _unexpected(response, self.pages.link) from None
        # Scheme and port do not matter: the request goes to those of the connection.
        if host != urlsplit(self.endpoint.url).hostname:
            raise ItemRefused(ENGINE.message("api.other_host", path=response.path, host=host))
        # The URL is data: what a URL must not contain is quoted. The token is added to each request.
        path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~")
        # Below the endpoint's path, which a server behind a gateway may not know.
        below = path.removeprefix(urlsplit(self.endpoint.url).path)
        path = below if below.startswith("/") else path
        query = "&".join(
            each
            for each in quote(parts.query, safe="/%:@!$&'()*+,;=~?").split("&")
            if each.partition("=")[0] != self.token_parameter
        )
        return replace(call, path=f"{path}?{query}" if query else path, query={})


def _with(call: Call, name: str, value: str | int) -> Call:
    if isinstance(call.json, dict):
        return replace(call, json={**call.json, name: value})
    return replace(call, query={**call.query, name: str(value)})


def _link_header(header: str) -> str:
    """Return the target with ``rel="next"`` of a ``Link`` header (RFC 8288), or ""."""
    from requests.utils import parse_header_links

    for link in parse_header_links(header):
        if "next" in link.get("rel", "").lower().split():
            return str(link["url"])
    return ""


def _unexpected(response: Response, name: str) -> SourceBusy:
    return SourceBusy(
        ENGINE.message("api.no_token", path=response.path, status=response.status, name=name)
    )
