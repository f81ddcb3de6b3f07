"""From a request to what goes on the wire: token, quota, faults, then the right answer."""

from __future__ import annotations

import json
from typing import Any

from fanfold.errors import BadInput
from fanfold.simulator import faults, mastodon, weibo
from fanfold.simulator.counters import Counters, Tally
from fanfold.simulator.exchange import Api, Delivery, Reply, Request, Route, deliver
from fanfold.simulator.quota import Quota
from fanfold.simulator.settings import Settings, changed

_APIS: tuple[Api, ...] = (weibo, mastodon)
_NOWHERE = Route(lambda request, quota: weibo.no_such_api(request))  # noqa: ARG005


class Application:
    """The state of one simulator: its settings, what it counted, and the quota used.

    Args:
        settings: What a reset returns to.
    """

    def __init__(self, settings: Settings) -> None:
        self._first_settings = settings
        self.counters = Counters()
        self._set(settings)

    def _set(self, settings: Settings) -> None:
        """Take new settings; quota, attempts and the life of the token start again."""
        self._settings = settings
        self._quota = Quota(
            settings.quota_per_second,
            settings.quota_per_hour,
            settings.quota_window_s,
            settings.quota_code,
        )
        self._attempts = Tally()
        self._requests_with_token = 0

    def answer(self, request: Request) -> Delivery:
        """Decide what one request gets, and count it."""
        for api in _APIS:
            if route := api.route(request.path):
                break
        else:
            if request.path.startswith("/_"):
                return self._own(request)
            api, route = weibo, _NOWHERE
        path = api.template(request.path) if route is not _NOWHERE else "other"
        items = route.items(request) if route.items else []
        self.counters.arrived(path, items)
        request.day = self._settings.day
        reply = self._refusal(api, route, request)
        if reply is not None:
            delivery = deliver(reply)
        else:
            delivery = self._late(self._served(api, route, request, path, items), items)
        self.counters.decided(delivery.status, delivery.fault)
        return delivery

    def _refusal(self, api: Api, route: Route, request: Request) -> Reply | None:
        """What a request gets that is not to be served: its method, its token, its quota."""
        if route is _NOWHERE:
            return weibo.no_such_api(request)
        if request.method != route.method:
            return api.unsupported(request)
        settings = self._settings
        if not api.authorised(request, settings.token):
            return api.refused(request, expired=False)
        if settings.token_expires_after is not None and api.identified(request):
            if self._requests_with_token >= settings.token_expires_after:
                return api.refused(request, expired=True)
            self._requests_with_token += route.items is not None
        if route.items and (code := self._quota.take()):
            reply = api.quota_spent(request, self._quota, code)
            reply.headers += api.quota_headers(self._quota)
            return reply
        return None

    def _served(
        self, api: Api, route: Route, request: Request, path: str, items: list[str]
    ) -> Delivery:
        """The right answer, or a fault in its place."""
        settings = self._settings

        def right() -> Reply:
            reply = route.answer(request, self._quota)
            reply.headers += api.quota_headers(self._quota)
            return reply

        if settings.has_faults:
            item = ",".join(items)
            attempt = self._attempts.add(item or path)
            if name := faults.chosen(settings, path, item, attempt):
                bits = faults.draw(settings.seed, item, attempt)
                return faults.delivery(name, faults.Case(request, api, right, settings, bits))
        return deliver(right())

    def _late(self, delivery: Delivery, items: list[str]) -> Delivery:
        """Add the latency; the jitter depends on the seed and the items alone."""
        settings = self._settings
        if settings.latency_ms or settings.jitter_ms:
            share = faults.draw(settings.seed, ",".join(items), 0) / 2**64
            delivery.delay_s += (settings.latency_ms + settings.jitter_ms * share) / 1000
        return delivery

    def _own(self, request: Request) -> Delivery:
        """The simulator's own endpoints; they are not counted and never misbehave."""
        try:
            reply = _json(200, self._own_answer(request))
        except BadInput as error:
            reply = _json(400, {"error": str(error)})
        self.counters.in_flight += 1  # the connection takes it off again
        return deliver(reply)

    def _own_answer(self, request: Request) -> dict[str, Any]:
        call = (request.method, request.path)
        if call == ("POST", "/_control"):
            self._control(_changes(request.body))
        elif call == ("DELETE", "/_control"):
            self._set(self._first_settings)
        elif call == ("POST", "/_stats/reset"):
            self.counters.reset()
        elif call == ("GET", "/_stats"):
            if "uid" in request.query:
                return self.counters.of_uid(request.query["uid"])
            return self.counters.report(all_uids=request.query.get("uids") == "all")
        elif call != ("GET", "/_control"):
            raise BadInput(
                f"There is no {request.method} {request.path[:80]}; there are GET, POST and DELETE "
                "/_control, GET /_stats and POST /_stats/reset"
            )
        return self.counters.report() if "_stats" in request.path else self._settings.shown()

    def _control(self, changes: dict[str, Any]) -> None:
        start = self._first_settings if changes.pop("reset", False) else self._settings
        self._set(changed(start, changes, faults.known))


def _changes(body: bytes) -> dict[str, Any]:
    try:
        changes = json.loads(body)
    except ValueError as error:
        raise BadInput("The body of POST /_control must be JSON") from error
    if not isinstance(changes, dict):
        raise BadInput("The body of POST /_control must be a JSON object of settings")
    return changes


def _json(status: int, value: dict[str, Any]) -> Reply:
    return Reply(status, json.dumps(value, ensure_ascii=False).encode())
