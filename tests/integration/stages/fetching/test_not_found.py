"""Responses with a page instead of JSON: of a proxy, or of a source that has one for unknown items."""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

import pytest

from fanfold import Api
from fanfold.errors import BadConfiguration, BatchIncomplete, CredentialRefused, SourceBusy
from fanfold.model import Status
from fanfold.rate_limit import Unlimited
from fanfold.sources.checking import check_source
from fanfold.sources.endpoint import Endpoint
from fanfold.sources.session import ApiSession
from fanfold.stages.fetching import fetch_batch
from fanfold.stages.fetching.backoff import Backoff
from fanfold.stages.fetching.listing import list_items
from fanfold.stages.fetching.workers import WorkerPool
from fanfold.workspace.files import write_jsonl
from pipelines import _mastodon_api, _mastodon_topics_api, _weibo_api

QUICK = Backoff(attempts=3, first=0.002, cap=0.01, max_probe_wait=0.01)
LOOKUP = "/api/v1/accounts/lookup"
OWNER = "/api/v1/accounts/verify_credentials"
V1, V2 = "/api/v1/instance", "/api/v2/instance"
PAGE = b"<html><h1>Not Found</h1></html>"
ERROR = {"error": "This method requires an authenticated user"}
NAMES = [f"user{number}" for number in range(60)]
UNKNOWN = [f"nobody{number}" for number in range(5)]


class Server:
    """What it answers by path or account: one answer after the other, the last one for ever."""

    def __init__(self):
        self.answers = defaultdict(list)
        self.asked = []

    def answer(self, path):
        parts = urlsplit(path)
        name = dict(parse_qsl(parts.query)).get("acct") or parts.path
        self.asked.append(name)
        found = self.answers[name] or [(200, {"id": "1", "acct": name})]
        status, body = found.pop(0) if len(found) > 1 else found[0]
        return status, body if isinstance(body, bytes) else json.dumps(body).encode()


@pytest.fixture
def server():
    made = Server()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def do_GET(self):
            status, body = made.answer(self.path)
            self.send_response(status)
            self.send_header("Content-Type", "text/html" if body == PAGE else "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{listening.server_port}"
    thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
    thread.start()
    yield made
    listening.shutdown()
    thread.join()
    listening.server_close()


@contextmanager
def session_with(server, api=_mastodon_api.API, **fields):
    endpoint = Endpoint("mastodon_default", server.url, **fields)
    with ApiSession(api, endpoint, as_of=datetime(2026, 8, 1, tzinfo=UTC)) as session:
        yield session


@pytest.fixture
def fetch(server, workspace):
    """``fetch(keys, batch=0, **fields)``: fetch a batch; return status and attempts by key."""

    def fetch(keys, number=0, **fields):
        batch = workspace.batch(number)
        write_jsonl(batch.items_file, keys)
        with session_with(server, **fields) as session:
            pool = partial(
                WorkerPool,
                session,
                Unlimited(),
                concurrency=4,
                backoff=QUICK,
                known=workspace.known_item,
            )
            with suppress(BatchIncomplete):
                fetch_batch(batch, pool, version="0000000a")
        return batch.outcomes()

    return fetch


@pytest.mark.parametrize("body", [PAGE, b"", b"null", b'{"message": "Not Found"}'])
def test_an_account_is_missing_if_the_server_has_a_page_for_it_twice_and_others_are_found(
    server, fetch, body
):
    """Or another body than that of the API: software of the network has its own."""
    server.answers |= {name: [(404, body)] for name in UNKNOWN}
    outcomes = fetch([*UNKNOWN, *NAMES])
    assert {key for key, each in outcomes.items() if each.status is Status.MISSING} == {*UNKNOWN}
    assert {key for key, each in outcomes.items() if each.status is Status.OK} == {*NAMES}
    assert "HTTP 404, not in the form of the API" in outcomes[UNKNOWN[0]].reason
    assert sorted(server.asked[:65]) == sorted([*UNKNOWN, *NAMES]), "repeated after all others"
    # Each unknown account twice, and one that exists once more.
    assert len(server.asked) == 60 + 2 * 5 + 1 == sum(each.attempts for each in outcomes.values())


def test_one_page_of_a_proxy_costs_a_repetition_only(server, fetch):
    """It passes, so it is none of the server's, and an account that has it twice is not missing."""
    server.answers[NAMES[0]] = [(404, PAGE), (200, {"id": "1", "acct": NAMES[0]})]
    outcomes = fetch(NAMES)
    assert {each.status for each in outcomes.values()} == {Status.OK}
    assert outcomes[NAMES[0]].attempts == 2

    server.answers[NAMES[1]] = [(404, PAGE), (404, PAGE), (200, {"id": "1", "acct": NAMES[1]})]
    server.answers[NAMES[0]] = [(404, PAGE), (200, {"id": "1", "acct": NAMES[0]})]
    outcomes = fetch(NAMES, number=1)
    assert outcomes[NAMES[1]].status is Status.FAILED
    assert fetch(NAMES, number=1)[NAMES[1]].status is Status.OK


def test_without_a_known_account_the_way_out_is_named_and_the_next_try_decides(server, fetch):
    server.answers |= {name: [(404, PAGE)] for name in UNKNOWN}
    outcomes = fetch(UNKNOWN)
    assert {each.status for each in outcomes.values()} == {Status.FAILED}
    assert '"not_found_pages": true in the extra of the connection' in outcomes[UNKNOWN[0]].reason
    assert len(server.asked) == 10

    fetch(NAMES[:1], number=1)  # another batch of the run
    assert {each.status for each in fetch(UNKNOWN).values()} == {Status.MISSING}


def test_a_connection_may_say_that_such_a_page_means_an_unknown_account(server, fetch):
    server.answers |= {name: [(410, PAGE)] for name in UNKNOWN}
    outcomes = fetch(UNKNOWN, not_found_pages=True)
    assert [(each.status, each.attempts) for each in outcomes.values()] == [(Status.MISSING, 1)] * 5


def test_where_the_known_account_has_the_page_too_no_item_is_judged(server, fetch, workspace):
    """The server is away behind its proxy: the task is retried as for any outage."""
    server.answers |= {name: [(404, PAGE)] for name in UNKNOWN}
    server.answers[NAMES[0]] = [(200, {"id": "1", "acct": NAMES[0]}), (404, PAGE)]
    with pytest.raises(SourceBusy, match="HTTP 404 with a page"):
        fetch([NAMES[0], *UNKNOWN])
    assert workspace.batch(0).outcomes().keys() == {NAMES[0]}


@pytest.mark.parametrize("status", [401, 403])
def test_a_challenge_of_a_proxy_is_repeated_and_refuses_no_token(server, fetch, status):
    server.answers[NAMES[0]] = [(status, PAGE), (200, {"id": "1", "acct": NAMES[0]})]
    outcomes = fetch(NAMES[:2], token="t")
    assert [outcomes[key].attempts for key in NAMES[:2]] == [2, 1]
    server.answers[NAMES[0]] = [(status, ERROR)]
    with pytest.raises(CredentialRefused, match=f"HTTP {status}"):
        fetch(NAMES[:2], number=1, token="t")


def test_the_pages_of_the_default_reading_are_judged_in_the_same_way(server, fetch):
    api = Api(path="/v1/{key}")
    server.answers["/v1/b"] = [(404, PAGE)]
    assert [each.status for each in fetch(["a", "b"], api=api).values()] == ["ok", "missing"]


def test_a_source_that_refuses_the_probe_answers_and_its_items_are_judged(server, fetch):
    server.answers["/2/users/show.json"] = [(200, {"error_code": 10001})]
    server.answers["/2/account/get_uid.json"] = [(400, {"error_code": 10008})]
    (outcome,) = fetch(["1404376560"], api=_weibo_api.API).values()
    assert outcome.status is Status.FAILED
    assert "10001" in outcome.reason


@pytest.mark.parametrize(
    ("answers", "token", "asked"),
    [
        ({V2: (200, {})}, None, [V2]),
        ({V2: (404, PAGE), V1: (200, {})}, None, [V2, V1]),
        ({V2: (404, ERROR), V1: (200, {})}, None, [V2, V1]),
        ({OWNER: (200, {})}, "t", [OWNER]),
        ({OWNER: (422, ERROR)}, "t", [OWNER]),  # the token of an application
        ({OWNER: (404, PAGE), V2: (404, PAGE), V1: (200, {})}, "t", [OWNER, V2, V1]),
    ],
)
def test_a_server_that_has_one_of_the_descriptions_passes_the_check(server, answers, token, asked):
    server.answers |= {path: [answer] for path, answer in answers.items()}
    with session_with(server, token=token) as session:
        check_source(session, pause=0)
    assert server.asked == asked


@pytest.mark.parametrize("api", [_mastodon_api.API, _mastodon_topics_api.API, _weibo_api.API])
@pytest.mark.parametrize("status", [200, 301, 302, 303, 400, 404, 405, 410, 501])
def test_a_host_without_the_api_is_named_after_three_attempts(server, api, status):
    server.answers.default_factory = lambda: [(status, PAGE)]
    with session_with(server, api) as session:
        with pytest.raises(SourceBusy):  # a probe during a fetch waits for a proxy
            session.check()
        with pytest.raises(
            BadConfiguration, match=f"mastodon_default: {server.url}.*HTTP {status}"
        ):
            check_source(session, pause=0)


@pytest.mark.parametrize("status", [200, 400, 404])
def test_an_error_of_the_api_itself_says_nothing_about_the_host(server, status):
    server.answers.default_factory = lambda: [(status, {"error_code": 10001})]
    with session_with(server, _weibo_api.API) as session, pytest.raises(SourceBusy, match="10001"):
        check_source(session, pause=0)
    assert len(server.asked) == 1


def test_a_host_that_answers_404_while_it_restarts_passes_the_check(server):
    server.answers[V2] = [(404, PAGE), (200, {})]
    server.answers[V1] = [(404, PAGE)]
    with session_with(server) as session:
        check_source(session, pause=0)
    assert server.asked == [V2, V1, V2]


def test_a_list_that_is_never_found_is_a_wrong_host(server):
    server.answers["/api/v1/trends/tags"] = [(404, PAGE)]
    said = pytest.raises(
        BadConfiguration, match=f"{server.url}/api/v1/trends/tags answers HTTP 404"
    )
    with session_with(server, _mastodon_topics_api.API) as session, said:
        list_items(session, Unlimited(), QUICK)
