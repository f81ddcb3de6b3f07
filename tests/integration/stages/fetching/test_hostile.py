"""Hostile answers: the outcome of each kind, and no leak.

Kinds that break only the contract of a pipeline are fetched as received.

Every fault of the simulator has its expectation here; a new one without an expectation fails.
"""

from __future__ import annotations

import contextlib
import gzip
import itertools
import logging
import re
from collections import defaultdict
from dataclasses import dataclass
from functools import partial

import pytest

from fanfold.errors import BatchIncomplete
from fanfold.messages import ENGINE, Catalogue
from fanfold.model import Status
from fanfold.simulator.faults import KINDS
from fanfold.simulator.process import running
from fanfold.stages.fetching.backoff import Backoff
from fanfold.workspace.paths import Workspace
from pipelines import _mastodon_api, _weibo_api

ONCE = Backoff(attempts=1)
QUICK = Backoff(attempts=4, first=0.01, cap=0.02)


@dataclass(frozen=True)
class Expected:
    """The outcome of a user whose every answer has the fault, and a pattern of its reason."""

    status: Status
    said: str = ""


OK = Expected(Status.OK)
failed = partial(Expected, Status.FAILED)

TWO_WORDS = re.compile(r"[A-Za-z']{2,} [A-Za-z']{2,}")
NOT_JSON = "HTTP 200, the response is not JSON"
DEEP = "HTTP 200, the response is nested too deeply"
NO_FORM = "HTTP 200, unexpected response"
CUT = "the response was cut off"
NO_HTTP = "connection failed"
LATE = "response timed out"
LARGE = "larger than 8388608 bytes"

EXPECTED = {
    # The API's own words, and HTTP's.
    "busy": failed("Weibo 1000"),
    "unknown": Expected(Status.MISSING, "no such user"),
    "unknown_code": failed("Weibo 99999"),
    "odd_code": failed("Weibo returned an error without a valid code"),
    "http_500": failed("HTTP 500"),
    "http_502": failed("HTTP 502"),
    "http_503": failed("HTTP 503"),
    "http_429": failed("HTTP 429"),
    "odd_retry_after": failed("HTTP 503"),
    "redirect": failed(r"HTTP 30\d, redirect not followed"),
    # The connection.
    "drop": failed(NO_HTTP),
    "drop_mid": failed(CUT),
    "reset_mid": failed(f"{CUT}|connection failed"),
    "slow": OK,
    "trickle": failed(LATE),
    "trickle_head": failed(LATE),
    "not_http": failed(NO_HTTP),
    "many_headers": failed(NO_HTTP),
    "bad_headers": OK,
    "endless_header": failed(NO_HTTP),
    "endless_continue": failed(NO_HTTP),
    "length_long": failed(LATE),
    "length_short": failed(NOT_JSON),
    "two_lengths": failed(NO_HTTP),
    "two_answers": OK,
    # The body as bytes.
    "huge": failed(LARGE),
    "endless": failed(LARGE),
    "chunked": OK,
    "bad_chunks": failed(CUT),
    "endless_chunk_size": failed(NO_HTTP),
    "endless_trailer": failed(LATE),
    "gzip": OK,
    "gzip_broken": failed("compressed response is corrupt"),
    "gzip_cut": failed(f"compressed response is corrupt|{NOT_JSON}"),
    "gzip_bomb": failed(LARGE),
    "gzip_nested": failed(LARGE),
    # The body as JSON.
    "truncated": failed(NOT_JSON),
    "not_json": failed(NOT_JSON),
    # What we read is JSON that fits, not what a header calls it: servers of APIs are careless there.
    "wrong_type": OK,
    "empty": failed(NOT_JSON),
    "null": failed(NO_FORM),
    "list": failed(NO_FORM),
    "number": failed(NO_FORM),
    "deep_json": failed(DEEP),
    "nested_json": failed(DEEP),
    "nan": failed("NaN or Infinity, which JSON does not have"),
    "long_number": failed(NOT_JSON),
    "duplicate_keys": failed("a duplicate name"),
    "invalid_utf8": failed(NOT_JSON),
    # The profile.
    "invalid": OK,
    "invalid_negative": OK,
    "invalid_text": OK,
    "invalid_date": OK,
    "invalid_nameless": OK,
    "invalid_other": failed("about another user"),
    "overflow": OK,
    "huge_number": OK,
    "infinite": OK,
    "long_name": OK,
    "wrong_shapes": failed("about another user"),
    "html_name": OK,
    "surrogates": OK,
    # Those of functions.
    "throttle": OK,
    "function_error": OK,
    "function_timeout": OK,
    "function_too_large": OK,
}

MASTODON = {
    "busy": failed("HTTP 503"),
    "unknown": Expected(Status.MISSING, "no such account"),
    "unknown_code": failed("HTTP 503"),
    "odd_code": failed("HTTP 400"),
    # Mastodon's status for a spent quota: all requests wait for the reset, then the item is fetched.
    "http_429": OK,
    "invalid_other": failed("about another account"),
    # Two of the faults that both networks share: the client and the engine are the same.
    "truncated": failed(NOT_JSON),
    "drop": failed(NO_HTTP),
}
"""What differs on Mastodon."""

AS_RECEIVED = {
    *("invalid", "invalid_negative", "invalid_text", "invalid_date", "invalid_nameless"),
    *("overflow", "huge_number", "infinite", "long_name", "html_name", "surrogates"),
}
"""Kinds whose records are wrong, which only a contract tells."""

VARIANTS = {"not_http": 8, "odd_code": 30, "odd_retry_after": 20, "redirect": 12, "nan": 8}
"""Number of users of a kind with variants, so that each variant occurs."""


@pytest.fixture(scope="session")
def run(fetch_from):
    """``run(workspace, simulator, keys, ...)``: fetch; return the outcome of each item."""

    def run(workspace, simulator, keys, **options):
        arguments = {"concurrency": 1, "backoff": ONCE, "read_timeout": 0.15, **options}
        with contextlib.suppress(BatchIncomplete):
            fetch_from(workspace, simulator, keys, **arguments)
        return workspace.batch(0).outcomes()

    return run


def misbehave(simulator, kinds, **settings):
    """Give each item its fault."""
    simulator.control(uids=kinds, slow_s=0.05, trickle_s=0.05, retry_after_s=0, **settings)


def by_kind(outcomes, kinds):
    """Outcomes by kind; what is left over are the neighbours that met no fault."""
    outcomes = dict(outcomes)
    found = defaultdict(list)
    for item, kind in kinds.items():
        found[kind].append(outcomes.pop(item))
    return found, outcomes


def among_neighbours(items):
    """Each item between others, so that what its answer leaves behind would meet the next."""
    plain = (str(1404370000 + number) for number in itertools.count())
    return [each for item in items for each in (item, next(plain))]


USERS = {
    str(1404376560 + number): kind
    for number, kind in enumerate(kind for kind in EXPECTED for _ in range(VARIANTS.get(kind, 1)))
}
ACCOUNTS = {f"user{number}": kind for number, kind in enumerate(MASTODON)}


@pytest.fixture(scope="module")
def weibo(run, server, tmp_path_factory):
    """Outcomes of users whose every answer has its fault, over one connection."""
    server.reset()
    misbehave(server, USERS)
    outcomes = run(Workspace(tmp_path_factory.mktemp("weibo")), server, among_neighbours(USERS))
    return by_kind(outcomes, USERS)


@pytest.fixture(scope="module")
def mastodon(run, server, tmp_path_factory):
    """Outcomes of accounts whose first answer has its fault, and that are asked for once."""
    server.reset()
    misbehave(server, ACCOUNTS, first_attempts=1)
    workspace = Workspace(tmp_path_factory.mktemp("mastodon"))
    return by_kind(run(workspace, server, among_neighbours(ACCOUNTS), api="mastodon"), ACCOUNTS)


@pytest.fixture(scope="module")
def passing(run, records_of, server, tmp_path_factory):
    """Outcomes and records of users whose first answer has its fault, and those without any."""
    disturbed, undisturbed = (Workspace(tmp_path_factory.mktemp("passing")) for _ in range(2))
    server.reset()
    misbehave(server, USERS, first_attempts=1)
    outcomes = run(disturbed, server, [*USERS], backoff=QUICK, concurrency=16)
    server.reset()
    run(undisturbed, server, [*USERS], concurrency=16)
    return by_kind(outcomes, USERS)[0], records_of(disturbed), records_of(undisturbed)


def differences(found, expected):
    """Outcomes that are not as expected, with what was expected."""
    return [
        (kind, outcome, wanted)
        for kind, wanted in expected.items()
        for outcome in found[kind]
        if outcome.status is not wanted.status
        or bool(outcome.reason) != bool(wanted.said)
        or not re.search(wanted.said, outcome.reason)
        or len(outcome.reason) >= 400
    ]


def test_a_weibo_user_has_the_right_outcome_under_each_fault(weibo):
    assert set(weibo[0]) == set(EXPECTED) == set(KINDS)
    assert differences(weibo[0], EXPECTED) == []
    assert {outcome.attempts for outcomes in weibo[0].values() for outcome in outcomes} == {1}


def test_a_mastodon_account_has_the_right_outcome_where_it_differs(mastodon):
    assert differences(mastodon[0], MASTODON) == []


def test_every_reason_has_its_chinese(weibo, mastodon):
    reasons = {
        outcome.reason: outcome.message
        for found, _ in (weibo, mastodon)
        for outcomes in found.values()
        for outcome in outcomes
        if outcome.status in {Status.FAILED, Status.MISSING}
    }
    assert len(reasons) >= 20
    catalogue = Catalogue(ENGINE.texts, _weibo_api.API.messages, _mastodon_api.API.messages)
    said = {catalogue.translate(reason, "zh") for reason in reasons.values()}
    assert not {each for each in said if TWO_WORDS.search(each)}


@pytest.mark.parametrize("api", ["weibo", "mastodon"])
def test_no_answer_affects_the_next_one(request, api):
    found, neighbours = request.getfixturevalue(api)
    assert len(neighbours) == sum(map(len, found.values()))
    assert {outcome.status for outcome in neighbours.values()} == {Status.OK}
    assert {outcome.attempts for outcome in neighbours.values()} == {1}


def test_a_transient_fault_leaves_no_trace(passing):
    outcomes, disturbed, undisturbed = passing
    for kind in sorted(set(EXPECTED) - AS_RECEIVED - {"unknown"}):
        attempts = 1 if EXPECTED[kind].status is Status.OK else 2
        for outcome in outcomes[kind]:
            assert (outcome.status, outcome.attempts) == (Status.OK, attempts), kind
            assert disturbed[outcome.key] == undisturbed[outcome.key], kind


def test_a_redirect_is_not_followed_and_the_token_stays(run, workspace, simulator):
    with running() as elsewhere:
        redirected = [item for item, kind in USERS.items() if kind == "redirect"]
        misbehave(simulator, dict.fromkeys(redirected, "redirect"), redirect_to=elsewhere.url)
        outcomes = run(workspace, simulator, redirected, backoff=QUICK)
        stats = elsewhere.stats()
    assert {outcome.attempts for outcome in outcomes.values()} == {4}
    assert len(simulator.stats()["statuses"]) > 1, "several ways to redirect"
    assert stats["requests"] == 0
    assert stats["connections"] == 1, "the connection that asked for the statistics"


def test_no_token_no_address_and_no_answer_is_in_a_log_or_a_file(run, workspace, simulator, caplog):
    """Over all kinds at once; a record holds what the API says, no other file does."""
    caplog.set_level(logging.INFO)
    misbehave(simulator, USERS)
    said = []
    run(workspace, simulator, [*USERS], concurrency=16, log=said.append)
    files = [path for path in workspace.root.rglob("*") if path.is_file()]
    assert len(files) >= 4
    texts = [*said, caplog.text]
    for path in files:
        content = path.read_bytes()
        text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode("latin-1")
        assert simulator.token not in text
        assert simulator.url not in text
        if "raw" not in path.parts and path.suffix == ".jsonl":
            texts.append(text)
    for text in texts:
        for secret in (simulator.token, simulator.url, "hotel", "Gateway", "no colon", "OpenSSH"):
            assert secret not in text
