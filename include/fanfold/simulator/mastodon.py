"""The account endpoints of the Mastodon API, with rate limit headers and errors."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from fanfold.simulator import fediverse
from fanfold.simulator.exchange import Reply, Request, Route

_ACCOUNTS = "/api/v1/accounts/"
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
    if acct is None or not fediverse.exists(acct):
        return error(request, 20003)
    return _json(fediverse.account(acct, request.day))


def _lookup(request: Request) -> Reply:
    return _account_or_404(request, request.query.get("acct", "").lower())


def _by_id(request: Request) -> Reply:
    return _account_or_404(request, fediverse.acct_of_id(request.path.removeprefix(_ACCOUNTS)))


def _verify_credentials(request: Request) -> Reply:
    if token(request) is None:
        return _json({"error": "This method requires an authenticated user"}, 401)
    return _json(fediverse.account("simulator", request.day))


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


ROUTES = {
    f"{_ACCOUNTS}lookup": Route(_lookup, _requested_acct),
    f"{_ACCOUNTS}verify_credentials": Route(_verify_credentials),
    "/api/v2/instance": Route(_instance),
}
_BY_ID = Route(_by_id, _requested_id)


def route(request: Request) -> Route | None:
    """Return the route of a request, if the API has one."""
    return ROUTES.get(request.path) or (_BY_ID if template(request.path) != request.path else None)


def template(path: str) -> str:
    """Return the path with ``{id}`` for an account id."""
    if path.startswith(_ACCOUNTS) and path not in ROUTES and "/" not in path[len(_ACCOUNTS) :]:
        return f"{_ACCOUNTS}{{id}}"
    return path
