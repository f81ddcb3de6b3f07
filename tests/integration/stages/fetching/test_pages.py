"""Items of several pages, and POST, against a small HTTP server."""

from __future__ import annotations

import json
import logging
import threading
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import pytest

from fanfold import Api, Call, Found, Pages
from fanfold.errors import BadPipeline, BatchIncomplete, CredentialRefused
from fanfold.model import Status
from fanfold.stages.fetching.counters import Counters


class Asked(SimpleNamespace):
    """A request: ``method``, ``path``, ``query``, ``headers`` and ``body``."""

    def get(self, name, default=""):
        return self.query.get(name, [default])[0]


@contextmanager
def serving(answer):
    """Answer requests with ``answer(asked) -> (status, document[, headers])``; yield the server."""
    seen = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self):
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked = Asked(
                method=self.command,
                path=parts.path,
                query=parse_qs(parts.query),
                headers=self.headers,
                body=json.loads(body) if body else None,
            )
            seen.append(asked)
            status, document, *headers = answer(asked)
            content = json.dumps(document).encode()
            self.send_response(status)
            for name, value in (headers[0] if headers else {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET  # noqa: N815 - the name that http.server calls

        def log_message(self, *_):
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.server_port}"
            yield SimpleNamespace(url=url, token="s3cret", seen=seen)
        finally:
            server.shutdown()
            thread.join()


class Permits:
    """A limiter that grants all permits and counts them."""

    waiting, slowed_by = 0, None

    def __init__(self):
        self.granted = 0
        self._lock = threading.Lock()

    def acquire(self, _):
        with self._lock:
            self.granted += 1
        return True

    def pause(self, *_):
        """Not needed here."""


READINGS = [{"n": number} for number in range(7)]
PAGES = [READINGS[:3], READINGS[3:6], READINGS[6:]]


def by_token(asked):
    number = int(asked.get("cursor", "0"))
    following = {"next": str(number + 1)} if number < 2 else {}
    return 200, {"data": PAGES[number], "meta": following}


def by_link(asked):
    number = int(asked.get("page", "0"))
    document = {"data": PAGES[number]}
    if number < 2:  # as some servers do: with the token, and their inner scheme
        host = asked.headers["Host"]
        document["next"] = f"https://{host}{asked.path}?page={number + 1}&key={asked.get('key')}"
    return 200, document


def by_header(asked):
    number = int(asked.get("page", "0"))
    links = {"Link": f'<?page={number + 1}>; rel="next"'} if number < 2 else {}
    return 200, {"data": PAGES[number]}, links


def by_number(asked):
    number = int(asked.get("p"))
    return 200, {"data": PAGES[number - 1] if number <= 3 else []}


def by_number_until_404(asked):
    return by_number(asked) if int(asked.get("p")) <= 3 else (404, {"detail": "Invalid page."})


def by_offset(asked):
    return 200, {"data": PAGES[asked.body["offset"] // 3]}


def next_offset(call, response):
    return (
        Call(call.path, json={"offset": call.json["offset"] + 3})
        if len(response.body["data"]) == 3
        else None
    )


def api(pages=None, **fields):
    return Api(**{"path": "/v1/{key}", "records": "data", "pages": pages, **fields})


@pytest.mark.parametrize(
    ("answer", "source", "requests"),
    [
        (by_token, api(Pages(token="meta.next", param="cursor")), 3),
        (by_link, api(Pages(link="next"), token="query:key"), 3),
        (by_header, api(Pages(link="Link")), 3),
        (by_number, api(Pages(number=1, param="p")), 4),
        (by_number_until_404, api(Pages(number=1, param="p")), 4),
        (by_offset, api(Pages(following=next_offset), json={"offset": 0}), 3),
    ],
)
def test_all_pages_of_an_item_are_fetched_in_order_each_with_a_permit(
    fetch_from, workspace, records_of, answer, source, requests
):
    permits, counts = Permits(), []
    with serving(answer) as server:
        result = fetch_from(
            workspace, server, ["a", "b"], api=source, limiter=permits, report=counts.append
        )
    assert records_of(workspace) == {"a": READINGS, "b": READINGS}
    assert result.requests == permits.granted == len(server.seen) == 2 * requests
    assert sum((each.requests for each in counts), Counters().requests) == 2 * requests
    assert {asked.get("key", "s3cret") for asked in server.seen} == {"s3cret"}


def test_a_failed_page_is_repeated_alone(fetch_from, workspace, records_of):
    failures = iter([(503, {}), (429, {}, {"Retry-After": "0"})])

    def answer(asked):
        return next(failures, by_token(asked)) if asked.get("cursor") == "1" else by_token(asked)

    with serving(answer) as server:
        source = api(Pages(token="meta.next", param="cursor"))
        result = fetch_from(workspace, server, ["a"], api=source)
    cursors = Counter(asked.get("cursor") for asked in server.seen)
    assert cursors == {"": 1, "1": 3, "2": 1}
    assert records_of(workspace) == {"a": READINGS}
    assert result.outcomes["a"].attempts == 5


def test_a_page_that_repeats_is_the_last_one(fetch_from, workspace, records_of):
    with serving(lambda _: (200, {"data": READINGS, "next": "again"})) as server:
        fetch_from(workspace, server, ["a"], api=api(Pages(token="next")))
    assert len(server.seen) == 2
    assert records_of(workspace) == {"a": READINGS}


def test_an_item_of_too_many_pages_fails_and_one_of_just_as_many_does_not(
    fetch_from, workspace, records_of
):
    def answer(asked):
        number, last = int(asked.get("page")), {"/v1/a": 3, "/v1/b": 4}[asked.path]
        return 200, {"data": [{"n": number}] if number <= last else []}

    with serving(answer) as server, pytest.raises(BatchIncomplete, match="b: more than 3 pages"):
        fetch_from(workspace, server, ["a", "b"], api=api(Pages(number=1, limit=3)))
    assert records_of(workspace) == {"a": [{"n": 1}, {"n": 2}, {"n": 3}]}


def test_only_the_pages_that_are_wanted_are_requested(fetch_from, workspace, records_of):
    with serving(by_number) as server:
        fetch_from(workspace, server, ["a"], api=api(Pages(number=1, param="p", take=2)))
    assert len(server.seen) == 2
    assert records_of(workspace) == {"a": PAGES[0] + PAGES[1]}


def test_a_link_to_another_host_is_not_followed(fetch_from, workspace):
    def answer(_):
        return 200, {"data": [], "next": f"http://localhost:{elsewhere.url.rsplit(':', 1)[1]}/"}

    with serving(answer) as elsewhere, serving(answer) as server:
        with pytest.raises(BatchIncomplete, match=r"another host \(localhost\)"):
            fetch_from(workspace, server, ["a"], api=api(Pages(link="next")))
        assert elsewhere.seen == []


def test_an_item_may_have_no_records_or_be_missing(fetch_from, workspace, records_of):
    def answer(asked):
        return (404, {}) if asked.path == "/v1/a" else (200, {"data": []})

    with serving(answer) as server:
        result = fetch_from(workspace, server, ["a", "b"], api=api(Pages(number=1)))
    assert result.outcomes["a"].status is Status.MISSING
    assert result.outcomes["b"].status is Status.OK
    assert records_of(workspace).get("b", []) == []


def test_a_post_carries_json_and_hostile_keys_stay_data(fetch_from, workspace, records_of):
    keys = ["../a", "a?b=c", "a%2fb", "{key}", "a b&c", "#", "ü"]
    source = api(path="/v1/{key}", query={"q": "{key}"}, json={"keys": ["{key}", "{as_of}"]})

    def answer(asked):
        return 200, {"data": {"at": asked.path, "q": asked.get("q"), "body": asked.body}}

    with serving(answer) as server:
        fetch_from(workspace, server, keys, api=source)
    assert {asked.method for asked in server.seen} == {"POST"}
    assert {asked.headers["Content-Type"] for asked in server.seen} == {"application/json"}
    for key, (record,) in records_of(workspace).items():
        assert (record["q"], record["body"]) == (key, {"keys": [key, "2026-08-01"]})
        assert record["at"].count("/") == 2
    assert set(records_of(workspace)) == set(keys)


def test_a_function_of_the_author_that_raises_is_named_with_its_line(fetch_from, workspace):
    def read(_, response):
        return response.body["date"]

    def further(_, response):
        return response.body["date"]

    with serving(lambda _: (200, {"data": []})) as server:
        for source in (api(read=read), api(Pages(following=further)), api(path="", call=read)):
            with pytest.raises(BatchIncomplete, match=r"a: \w+Error: .* \(test_pages\.py:\d+\)"):
                fetch_from(workspace, server, ["a"], api=source)


def test_a_function_that_returns_something_else_ends_the_fetch(fetch_from, workspace):
    with serving(lambda _: (200, {"data": []})) as server:
        for source in (
            api(read=lambda _, response: response.body),
            api(read=lambda _, response: Found(response.body)),
            api(path="", call=lambda item: f"/{item.key}"),
        ):
            with pytest.raises(BadPipeline, match=r"must return|need a list"):
                fetch_from(workspace, server, ["a"], api=source)


def test_a_template_with_an_unknown_name_ends_the_fetch(fetch_from, workspace):
    with serving(by_token) as server, pytest.raises(BadPipeline, match=r"'\{station\}'"):
        fetch_from(workspace, server, ["a", "b"], api=api(path="/v1/{station}"))
    assert server.seen == []


@pytest.mark.parametrize(
    ("status", "refused"), [(200, False), (403, False), (404, False), (501, False), (503, True)]
)
def test_without_a_check_of_its_own_an_api_is_available_unless_a_proxy_says_no(status, refused):
    from datetime import UTC, datetime

    from fanfold.errors import SourceBusy
    from fanfold.sources.endpoint import Endpoint
    from fanfold.sources.session import ApiSession

    with serving(lambda _: (status, {})) as server:
        endpoint = Endpoint("x_default", server.url)
        with ApiSession(api(), endpoint, as_of=datetime.now(UTC)) as session:
            assert session.quota() is None
            if refused:
                with pytest.raises(SourceBusy):
                    session.check()
            else:
                session.check()
    assert [asked.path for asked in server.seen] == ["/"]


def test_a_token_in_the_query_is_in_no_log_and_no_file(fetch_from, workspace, caplog):
    caplog.set_level(logging.DEBUG)
    said = []
    with (
        serving(lambda _: (401, {})) as server,
        pytest.raises(CredentialRefused) as caught,
    ):
        fetch_from(workspace, server, ["a"], api=api(token="query:k"), log=said.append)
    assert server.seen[0].get("k") == "s3cret"
    files = [path.read_bytes().decode("latin-1") for path in workspace.root.rglob("*.json*")]
    assert files
    for text in (caplog.text, str(caught.value), *said, *files):
        assert "s3cret" not in text
