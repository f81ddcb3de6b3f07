"""The account endpoints of the Mastodon API, with rate limit headers and errors."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from fanfold.simulator import fediverse
from fanfold.simulator.exchange import Reply, Request, Route

_ACCOUNTS = "/api/v1/accounts/"
JSON = b"application/json; charset=utf-8"


def _json(value: object, status: int = 200) -> Reply:
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    return Reply(status, body, JSON)


# exchange.Api


def authorised(request: Request, token: str) -> bool:
    """Accept no token or a valid bearer token."""
    return not request.authorization or request.authorization == f"Bearer {token}"


def identified(request: Request) -> bool:
    """Return whether the request has a token; public endpoints do not need one."""
    return bool(request.authorization)


def refused(request: Request, *, expired: bool) -> Reply:  # noqa: ARG001 - exchange.Api
    """401."""
    state = "has expired" if expired else "is invalid"
    return _json({"error": f"The access token {state}"}, 401)


def quota_spent(request: Request, code: int) -> Reply:  # noqa: ARG001
    """429."""
    return _json({"error": "Too many requests"}, 429)


def quota_headers(request: Request) -> bytes:
    """``X-RateLimit-`` headers; Reset is in ISO 8601 (UTC)."""
    remaining, reset_in = request.quota.state()
    reset = datetime.now(UTC) + timedelta(seconds=reset_in)
    return (
        f"X-RateLimit-Limit: {request.quota.limit}\r\nX-RateLimit-Remaining: {remaining}\r\n"
        f"X-RateLimit-Reset: {reset:%Y-%m-%dT%H:%M:%S.%f}Z\r\n"
    ).encode()


def busy(request: Request, draw: int) -> Reply:  # noqa: ARG001
    """503."""
    return _json({"error": "Service temporarily unavailable"}, 503)


def unknown(request: Request) -> Reply:  # noqa: ARG001
    """404."""
    return _json({"error": "Record not found"}, 404)


def coded(request: Request, code: int) -> Reply:
    """503: Mastodon has no error codes."""
    return busy(request, code)


def unsupported(request: Request) -> Reply:
    """404, as Rails does for an unknown route."""
    return unknown(request)


# Routes


def _requested_acct(request: Request) -> list[str]:
    return [request.query.get("acct", "")]


def _requested_id(request: Request) -> list[str]:
    return [request.path.removeprefix(_ACCOUNTS)]


def _account_or_404(request: Request, acct: str | None) -> Reply:
    if acct is None or not fediverse.exists(acct):
        return unknown(request)
    return _json(fediverse.account(acct, request.day))


def _lookup(request: Request) -> Reply:
    return _account_or_404(request, request.query.get("acct", "").lower())


def _by_id(request: Request) -> Reply:
    return _account_or_404(request, fediverse.acct_of_id(request.path.removeprefix(_ACCOUNTS)))


def _verify_credentials(request: Request) -> Reply:
    if not identified(request):
        return _json({"error": "This method requires an authenticated user"}, 401)
    return _json(fediverse.account("simulator", request.day))


def _instance(request: Request) -> Reply:  # noqa: ARG001 - exchange.Route
    return _json(
        {
            "domain": fediverse.DOMAIN,
            "title": "Fanfold simulator",
            "version": "4.3.0",
            "source_url": "https://github.com/mastodon/mastodon",
            "description": "Simulated accounts",
            "usage": {"users": {"active_month": 123_456}},
            "languages": ["en"],
            "configuration": {"urls": {}, "accounts": {"max_featured_tags": 10}},
            "registrations": {"enabled": False, "approval_required": False, "message": None},
            "rules": [],
        }
    )


ROUTES = {
    f"{_ACCOUNTS}lookup": Route(_lookup, _requested_acct),
    f"{_ACCOUNTS}verify_credentials": Route(_verify_credentials),
    "/api/v2/instance": Route(_instance),
}
_BY_ID = Route(_by_id, _requested_id)


def route(path: str) -> Route | None:
    """Return the route of a path, if it exists."""
    return ROUTES.get(path) or (_BY_ID if template(path) != path else None)


def template(path: str) -> str:
    """Return the path with ``{id}`` for an account id."""
    if path.startswith(_ACCOUNTS) and path not in ROUTES and "/" not in path[len(_ACCOUNTS) :]:
        return f"{_ACCOUNTS}{{id}}"
    return path
