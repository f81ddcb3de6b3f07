"""Items that the API lists, and what is new of each: against a small API with a token in the body."""

from __future__ import annotations

import json
import threading
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pandera.pandas as pa
import pytest

from fanfold import (
    Api,
    Call,
    CredentialRefused,
    Listing,
    Message,
    Pipeline,
    QuotaSpent,
    SourceBusy,
    testing,
)
from fanfold.rate_limit import Unlimited
from fanfold.sources.endpoint import Endpoint
from fanfold.sources.session import ApiSession
from fanfold.stages.fetching.backoff import Backoff
from fanfold.stages.fetching.listing import list_items

AS_OF = datetime(2026, 8, 1, tzinfo=UTC)
FIRST = date(2026, 7, 20)


class Bar(pa.DataFrameModel):
    symbol: str
    day: date
    close: float = pa.Field(nullable=True)


class Api503Once(BaseHTTPRequestHandler):
    """Lists two symbols, the second one later; its first answer is an overload."""

    def do_POST(self):
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server.bodies.append(body)
        status, answer = 200, []
        if len(server.bodies) == 1:
            status = server.first
        elif body["token"] != "secret":
            status = 401
        elif "symbol" in body:
            since = date.fromisoformat(body["since"]) if body["since"] else FIRST
            days = (server.last - since).days + 1
            answer = [
                {"day": str(since + timedelta(days=n)), "close": server.price} for n in range(days)
            ]
        else:
            answer = server.symbols
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Api503Once) as server:
        server.bodies, server.symbols, server.first = [], ["A", {"symbol": "B", "name": "Bee"}], 503
        server.last, server.price = date(2026, 7, 31), 1.0
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def endpoint_of(server, token="secret"):  # noqa: S107
    return Endpoint("bars_default", f"http://127.0.0.1:{server.server_port}", token=token)


def read_listing(response):
    if response.status == 401:
        raise CredentialRefused("401")
    if response.status == 429:
        raise QuotaSpent("429", reset_at=datetime.now(UTC))
    return response.body if response.status == 200 else None


PIPELINE = Pipeline(
    name="bars",
    noun="symbol",
    source=Api(
        call=lambda item: Call("/", json={"symbol": item.key, "since": item.attributes["since"]}),
        listing=Listing(lambda as_of: Call("/", json={"at": str(as_of)}), read_listing),
        token="body:token",
    ),
    contract=Bar,
    key=("symbol", "day"),
    mode="merge",
    cursor="day",
    lag_days=2,
    item_column="symbol",
    check_item=str.upper,
)


def test_a_run_asks_for_the_items_and_then_for_what_is_new_of_each(server):
    endpoint = endpoint_of(server)
    server.symbols = ["a"]
    first = testing.run(PIPELINE, endpoint=endpoint, as_of=AS_OF)
    assert [body.get("since", "-") for body in server.bodies] == ["-", "-", None]
    assert len(first.rows) == 12

    server.bodies[1:] = []
    server.symbols, server.last, server.price = ["a", "b"], date(2026, 8, 3), 2.0
    second = testing.run(PIPELINE, endpoint=endpoint, as_of=AS_OF + timedelta(days=3), after=first)

    since = {body["symbol"]: body["since"] for body in server.bodies if "symbol" in body}
    assert since == {"A": "2026-07-29", "B": None}
    prices = second.rows.groupby(["symbol", "close"]).size().to_dict()
    assert prices == {("A", 1.0): 9, ("A", 2.0): 6, ("B", 2.0): 15}
    assert {body["token"] for body in server.bodies} == {"secret"}


def test_a_listing_that_is_refused_or_over_the_quota_says_so(server):
    with ApiSession(PIPELINE.source, endpoint_of(server, "wrong"), as_of=AS_OF) as session:
        with pytest.raises(SourceBusy):
            list_items(session, Unlimited(), Backoff(attempts=1))
        with pytest.raises(CredentialRefused):
            list_items(session, Unlimited())
        limiter = Unlimited(max_wait=1)
        limiter.pause(60, Message("the quota"))
        with pytest.raises(QuotaSpent, match="the quota"):
            list_items(session, limiter)


def test_a_listing_waits_until_the_quota_is_renewed_as_the_error_says(server):
    """Not the 300 seconds of a source that says nothing, for which a run would wait for its next try."""
    server.first = 429
    with ApiSession(PIPELINE.source, endpoint_of(server), as_of=AS_OF) as session:
        assert list_items(session, Unlimited(max_wait=5)) == server.symbols
