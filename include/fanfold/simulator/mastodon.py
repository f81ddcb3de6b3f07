"""Accounts, trending hashtags and their timelines of the Mastodon API, with rate limit headers and errors."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from typing import Any
from urllib.parse import quote, urlencode

from fanfold.simulator import fediverse, hashtags
from fanfold.simulator.exchange import Reply, Request, Route

_ACCOUNTS = "/api/v1/accounts/"
_TIMELINE = "/api/v1/timelines/tag/"
_TRENDS = "/api/v1/trends/tags"
JSON = b"application/json; charset=utf-8"
TOKEN_REQUIRED = False
_NOT_FOUND = (404, "Record not found")
_TOO_MANY = (429, "Too many requests")
# Weibo code -> HTTP status and text. As in Rails, a wrong method (10021) is not found.
_ERRORS = {
    10021: _NOT_FOUND,
    20003: _NOT_FOUND,
    10022: _TOO_MANY,
    10023: _TOO_MANY,
    10024: _TOO_MANY,
    21327: (401, "The access token has expired"),
    21332: (401, "The access token is invalid"),
}


def _json(value: object, status: int = 200) -> Reply:
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    return Reply(status, body, JSON)


def token(request: Request) -> str | None:
    """Return the bearer token; empty if the header has another form."""
    scheme, _, given = request.authorization.partition(" ")
    return (given if scheme == "Bearer" else "") if scheme else None


def quota_headers(request: Request) -> bytes:
    """``X-RateLimit-`` headers; Reset is in ISO 8601 (UTC)."""
    remaining, reset_in = request.quota.state()
    reset = datetime.now(UTC) + timedelta(seconds=reset_in)
    return (
        f"X-RateLimit-Limit: {request.quota.limit}\r\nX-RateLimit-Remaining: {remaining}\r\n"
        f"X-RateLimit-Reset: {reset:%Y-%m-%dT%H:%M:%S.%f}Z\r\n"
    ).encode()


def error(request: Request, code: int) -> Reply:  # noqa: ARG001 - exchange.Api
    """Return the error that corresponds to a Weibo error code; 503 by default."""
    status, text = _ERRORS.get(code, (503, "Service temporarily unavailable"))
    return _json({"error": text}, status)


# Routes


def _requested_acct(request: Request) -> list[str]:
    return [request.query.get("acct", "")]


def _requested_id(request: Request) -> list[str]:
    return [request.path.removeprefix(_ACCOUNTS)]


def _account_or_404(request: Request, acct: str | None) -> Reply:
    found = fediverse.found(acct or "", request.settings.age)
    return error(request, 20003) if found is None else _json(found)


def _lookup(request: Request) -> Reply:
    return _account_or_404(request, request.query.get("acct"))


def _by_id(request: Request) -> Reply:
    return _account_or_404(request, fediverse.acct_of_id(request.path.removeprefix(_ACCOUNTS)))


def _verify_credentials(request: Request) -> Reply:
    if token(request) is None:
        return _json({"error": "This method requires an authenticated user"}, 401)
    return _json(fediverse.account("simulator", request.settings.age))


def _instance(request: Request) -> Reply:  # noqa: ARG001 - exchange.Route
    return _json(
        {
            "domain": fediverse.DOMAIN,
            "title": "Fanfold simulator",
            "version": "4.3.0",
            "description": "Simulated accounts",
            "languages": ["en"],
            "rules": [],
        }
    )


def _trending(request: Request) -> Reply:
    limit, offset = _number(request, "limit", 10, 20), _number(request, "offset", 0)
    found = hashtags.trending(request.now)[offset : offset + limit]
    # As Mastodon does: a full page may be followed by an empty one.
    further = {"offset": offset + limit} if len(found) == limit else None
    reply = _linked(request, found, limit, further)
    reply.headers += f"Date: {formatdate(request.now, usegmt=True)}\r\n".encode()
    return reply


def _tag_timeline(request: Request) -> Reply:
    word = hashtags.word_of(request.path.removeprefix(_TIMELINE))
    if word is None:
        return error(request, 20003)
    limit = _number(request, "limit", 20, 40)
    below = _number(request, "max_id", 0) if "max_id" in request.query else None
    found = hashtags.statuses(word, request.now, limit, below)
    # As Mastodon does: the link is there if the page has any status.
    return _linked(request, found, limit, {"max_id": found[-1]["id"]} if found else None)


def _linked(
    request: Request, found: list[Any], limit: int, further: dict[str, Any] | None
) -> Reply:
    """Return a page, with the link to the next one (RFC 8288): an absolute URL."""
    reply = _json(found)
    if further:
        query = urlencode({"limit": limit, **further})
        url = f"http://{request.headers.get('host', fediverse.DOMAIN)}{quote(request.path)}?{query}"
        reply.headers = f'Link: <{url}>; rel="next"\r\n'.encode()
    return reply


def _number(request: Request, name: str, default: int, most: int | None = None) -> int:
    """Return a number of the query; a text that is none is 0, as in Rails."""
    given = request.query.get(name)
    if given is None:
        return default
    number = int(given) if given.isdecimal() and len(given) < 30 else 0
    return number if most is None else min(number, most)


def _requested_tag(request: Request) -> list[str]:
    tag = request.path.removeprefix(_TIMELINE)
    return [f"{tag} {request.query['max_id']}" if "max_id" in request.query else tag]


ROUTES = {
    f"{_ACCOUNTS}lookup": Route(_lookup, _requested_acct),
    f"{_ACCOUNTS}verify_credentials": Route(_verify_credentials),
    "/api/v2/instance": Route(_instance),
    _TRENDS: Route(_trending, lambda _: ["trends/tags"]),
}
_OTHERS = {
    f"{_ACCOUNTS}{{id}}": Route(_by_id, _requested_id),
    f"{_TIMELINE}{{hashtag}}": Route(_tag_timeline, _requested_tag),
}
"""Routes by their template."""


def route(request: Request) -> Route | None:
    """Return the route of a request, if the API has one."""
    return ROUTES.get(request.path) or _OTHERS.get(template(request.path))


def template(path: str) -> str:
    """Return the path with ``{id}`` for an account id and ``{hashtag}`` for a hashtag."""
    if path not in ROUTES:
        for prefix, name in ((_ACCOUNTS, "{id}"), (_TIMELINE, "{hashtag}")):
            if path.startswith(prefix) and "/" not in path[len(prefix) :]:
                return prefix + name
    return path
