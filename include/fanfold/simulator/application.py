"""Handle requests: authentication, quota and faults, then the API."""

from __future__ import annotations

import hmac
import json
import os
from functools import partial
from typing import TYPE_CHECKING, Any

from fanfold.errors import BadInput
from fanfold.simulator import faults, functions, mastodon, tushare, weather, weibo
from fanfold.simulator.counters import BoundedCounter, Counters
from fanfold.simulator.exchange import Api, Delivery, Pending, Reply, Request, Route, deliver
from fanfold.simulator.handlers import Workers
from fanfold.simulator.quota import Quota
from fanfold.simulator.settings import Settings, changed

if TYPE_CHECKING:
    from collections.abc import Callable

_APIS: tuple[Api, ...] = (weibo, mastodon, weather, functions, tushare)
_NOT_FOUND = Route(lambda request: weibo.error(request, 10020))


class Application:
    """Settings, counters and quota of one simulator; a reset returns to the initial settings."""

    def __init__(self, settings: Settings) -> None:
        self._initial_settings = settings
        self.counters = Counters()
        self.workers = Workers()
        self._set(settings)

    def _set(self, settings: Settings) -> None:
        """Replace the settings; reset quota, attempts and token expiry."""
        self._settings = settings
        self._quota = Quota(
            settings.quota_per_second,
            settings.quota_per_hour,
            settings.quota_window_s,
            settings.quota_code,
        )
        self._attempts = BoundedCounter()
        self._requests_with_token = 0

    def listens(self, url: str) -> None:
        """Tell the functions the address of the simulator, unless the environment names another."""
        own = {"WEIBO_URL": url, "WEIBO_TOKEN": self._settings.token}
        self.workers.environment = {name: os.environ.get(name, own[name]) for name in own}

    def answer(self, request: Request) -> Delivery:
        """Return the response to a request, and count it."""
        for api in _APIS:
            if route := api.route(request):
                break
        else:
            if request.path.startswith("/_"):
                return self._manage(request)
            api, route = weibo, _NOT_FOUND
        path = "other" if route is _NOT_FOUND else api.template(request.path)
        items = route.items(request) if route.items else []
        self.counters.arrived(path, items)
        request.settings, request.now = self._settings, self._settings.clock
        request.quota, request.workers = self._quota, self.workers
        if rejection := self._reject(api, route, request):
            self.counters.decided(rejection.status, "")
            return deliver(rejection)
        return self._finished(self._serve(api, route, request, path, items), items)

    def _finished(self, served: Callable[[], Delivery], items: list[str]) -> Delivery:
        """Return and count what to deliver; while a function runs, how to go on."""
        try:
            delivery = served()
        except Pending as pending:
            then = partial(self._finished, served, items)
            return Delivery(0, b"", pending=(pending.work, then))
        delivery.delay_s += self._latency_s(items)
        self.counters.decided(delivery.status, delivery.fault)
        return delivery

    def _reject(self, api: Api, route: Route, request: Request) -> Reply | None:
        """Return the error for a wrong path, method or token, or a spent quota."""
        if route is _NOT_FOUND:
            return route.answer(request)
        if request.method != route.method:
            return api.error(request, 10021)
        settings = self._settings
        token = api.token(request)
        if token != settings.token and (api.TOKEN_REQUIRED or token is not None):
            return api.error(request, 21332)
        if settings.token_expires_after is not None and token is not None:
            if self._requests_with_token >= settings.token_expires_after:
                return api.error(request, 21327)
            self._requests_with_token += route.items is not None
        if route.items and (code := self._quota.take()):
            reply = api.error(request, code)
            reply.headers += api.quota_headers(request)
            return reply
        return None

    def _serve(
        self, api: Api, route: Route, request: Request, path: str, items: list[str]
    ) -> Callable[[], Delivery]:
        """Return what makes the correct response, or a fault in its place."""
        settings = self._settings

        def correct() -> Reply:
            reply = route.answer(request)
            reply.headers += api.quota_headers(request)
            return reply

        if settings.has_faults:
            item = ",".join(items)
            attempt = self._attempts.add(item or path)
            if name := faults.chosen(settings, path, item, attempt):
                bits = faults.draw(settings.seed, item, attempt)
                case = faults.Case(request, api, correct, settings, bits)
                return partial(faults.delivery, name, case)
        return lambda: deliver(correct())

    def _latency_s(self, items: list[str]) -> float:
        """Return the latency in seconds; the jitter is a function of seed and items."""
        settings = self._settings
        if not settings.jitter_ms:
            return settings.latency_ms / 1000
        share = faults.draw(settings.seed, ",".join(items), 0) / 2**64
        return (settings.latency_ms + settings.jitter_ms * share) / 1000

    def _manage(self, request: Request) -> Delivery:
        """Serve ``/_control`` and ``/_stats``, which are not counted and have no faults."""
        status = 200
        try:
            answer = self._manage_json(request)
        except BadInput as error:
            status, answer = 400, {"error": str(error)}
        self.counters.in_flight += 1  # decremented by the connection
        return deliver(Reply(status, json.dumps(answer, ensure_ascii=False).encode()))

    def _manage_json(self, request: Request) -> dict[str, Any]:
        # A page would choose the functions; one whose name leads here (DNS rebinding) needs no consent to
        # send the token, which is public by default. Browsers add the header to each POST.
        if "origin" in request.headers:
            raise BadInput("Web pages may not use this")
        wanted = f"Bearer {self._initial_settings.token}"
        if not hmac.compare_digest(request.authorization.encode(), wanted.encode()):
            raise BadInput("Send the header Authorization: Bearer TOKEN, with the initial token")
        match request.method, request.path:
            case "GET", "/_stats":
                if "uid" in request.query:
                    return self.counters.of_uid(request.query["uid"])
                return self.counters.report(all_uids=request.query.get("uids") == "all")
            case "POST", "/_stats/reset":
                self.counters.reset()
                return self.counters.report()
            case "POST", "/_control":
                self._control(request.body)
            case "DELETE", "/_control":
                self._set(self._initial_settings)
            case "GET", "/_control":
                pass
            case _:
                raise BadInput(
                    f"Unknown endpoint: {request.method} {request.path[:80]}. Use GET, POST or "
                    "DELETE /_control, GET /_stats or POST /_stats/reset"
                )
        return self._settings.shown()

    def _control(self, body: bytes) -> None:
        try:
            changes = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise BadInput("The body of POST /_control must be JSON") from error
        if not isinstance(changes, dict):
            raise BadInput("The body of POST /_control must be a JSON object of settings")
        start = self._initial_settings if changes.pop("reset", False) else self._settings
        self._set(changed(start, changes, faults.known))
