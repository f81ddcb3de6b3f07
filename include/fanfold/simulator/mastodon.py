"""The part of the Mastodon API that tells about accounts, with its headers and errors."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from fanfold.simulator import fediverse
from fanfold.simulator.exchange import Reply, Request, Route

if TYPE_CHECKING:
    from fanfold.simulator.quota import Quota

_ACCOUNTS = "/api/v1/accounts/"
JSON = b"application/json; charset=utf-8"


def _json(value: object, status: int = 200) -> Reply:
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    return Reply(status, body, JSON)


# What every API has (exchange.Api)


def authorised(request: Request, token: str) -> bool:
    """Most of Mastodon is open: only a bearer token that is sent must be right."""
    return not request.authorization or request.authorization == f"Bearer {token}"


def identified(request: Request) -> bool:
    """Who sends no token is nobody, and may read what is public."""
    return bool(request.authorization)


def refused(request: Request, *, expired: bool) -> Reply:  # noqa: ARG001 - exchange.Api
    """401."""
    state = "has expired" if expired else "is invalid"
    return _json({"error": f"The access token {state}"}, 401)


def quota_spent(request: Request, quota: Quota, code: int) -> Reply:  # noqa: ARG001 - exchange.Api
    """429."""
    return _json({"error": "Too many requests"}, 429)


def quota_headers(quota: Quota) -> bytes:
    """The three ``X-RateLimit-`` headers; Reset is a time in ISO 8601 (UTC)."""
    remaining, reset_in = quota.state()
    reset = datetime.now(UTC) + timedelta(seconds=reset_in)
    return (
        f"X-RateLimit-Limit: {quota.limit}\r\nX-RateLimit-Remaining: {remaining}\r\n"
        f"X-RateLimit-Reset: {reset:%Y-%m-%dT%H:%M:%S.%f}Z\r\n"
    ).encode()


def busy(request: Request, draw: int) -> Reply:  # noqa: ARG001 - exchange.Api
    """503."""
    return _json({"error": "Service temporarily unavailable"}, 503)


def unknown(request: Request) -> Reply:  # noqa: ARG001
    """404."""
    return _json({"error": "Record not found"}, 404)


def coded(request: Request, code: int) -> Reply:
    """Weibo's codes mean nothing here: busy."""
    return busy(request, code)


def unsupported(request: Request) -> Reply:
    """404, as Rails does for a method that has no route."""
    return unknown(request)


# The paths


def _asked_acct(request: Request) -> list[str]:
    return [request.query.get("acct", "")]


def _asked_id(request: Request) -> list[str]:
    return [request.path.removeprefix(_ACCOUNTS)]


def _account_or_404(request: Request, acct: str | None) -> Reply:
    if acct is None or not fediverse.exists(acct):
        return unknown(request)
    return _json(fediverse.account(acct, request.day))


def _lookup(request: Request, quota: Quota) -> Reply:  # noqa: ARG001 - exchange.Route
    # Mastodon, too, takes no notice of case here.
    return _account_or_404(request, request.query.get("acct", "").lower())


def _by_id(request: Request, quota: Quota) -> Reply:  # noqa: ARG001
    return _account_or_404(request, fediverse.acct_of_id(request.path.removeprefix(_ACCOUNTS)))


def _verify_credentials(request: Request, quota: Quota) -> Reply:  # noqa: ARG001
    if not identified(request):
        return _json({"error": "This method requires an authenticated user"}, 401)
    return _json(fediverse.account("simulator", request.day))


def _instance(request: Request, quota: Quota) -> Reply:  # noqa: ARG001
    return _json(
        {
            "domain": fediverse.DOMAIN,
            "title": "Fanfold simulator",
            "version": "4.3.0",
            "source_url": "https://github.com/mastodon/mastodon",
            "description": "A server of believable people who do not exist",
            "usage": {"users": {"active_month": 123_456}},
            "languages": ["en"],
            "configuration": {"urls": {}, "accounts": {"max_featured_tags": 10}},
            "registrations": {"enabled": False, "approval_required": False, "message": None},
            "rules": [],
        }
    )


ROUTES = {
    f"{_ACCOUNTS}lookup": Route(_lookup, _asked_acct),
    f"{_ACCOUNTS}verify_credentials": Route(_verify_credentials),
    "/api/v2/instance": Route(_instance),
}
_BY_ID = Route(_by_id, _asked_id)


def route(path: str) -> Route | None:
    """The route of a path, also of ``/api/v1/accounts/{id}``."""
    return ROUTES.get(path) or (_BY_ID if template(path) != path else None)


def template(path: str) -> str:
    """The path with ``{id}`` in the place of an account's id."""
    if path.startswith(_ACCOUNTS) and path not in ROUTES and "/" not in path[len(_ACCOUNTS) :]:
        return f"{_ACCOUNTS}{{id}}"
    return path
