"""Hot topics of a Mastodon server: what is read, what it becomes, and how a server refuses it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from fanfold import CredentialRefused, Found, Item, NotThere, Response, testing
from fanfold.simulator import hashtags, topics
from fanfold.simulator.faults import KINDS
from fanfold.simulator.process import running
from fanfold.sources.endpoint import Endpoint
from fanfold.sources.session import ApiSession
from pipelines import _mastodon_topics_api as api
from pipelines.mastodon_hot_topics import PIPELINE

AS_OF = datetime(2026, 5, 2, 10, 59, tzinfo=UTC)
HOUR = datetime(2026, 5, 2, 10, tzinfo=UTC)
NOW = int(AS_OF.timestamp())
TIMELINE = "/api/v1/timelines/tag/{hashtag}"
# As in the documentation of the entity Status, shortened.
STATUS = {
    "server": "here.example",
    "id": "103270115826048975",
    "created_at": "2026-05-02T03:48:33.901Z",
    "visibility": "public",
    "replies_count": 5,
    "reblogs_count": 6,
    "favourites_count": 11,
    "content": '<p>&quot;Lost&quot;<br>my <a href="x">#<span>cat</span></a></p>',
    "account": {
        "id": "1",
        "acct": "Gargron@xn--bcher-kva.example",
        "limited": True,
        "followers_count": 322930,
        "fields": [{"name": "Web", "value": "x", "verified_at": "2019-07-15T18:29:57.191+00:00"}],
    },
    "tags": [{"name": "cat", "url": "https://mastodon.social/tags/cat"}],
}
BROKEN = [
    ("id", {"id": None}),
    ("happened_at", {"created_at": "soon"}),
    ("reposts", {"reblogs_count": "-"}),
    ("author_id", {"account": {"id": ["x"]}}),
]
DAYS = [{"day": "2026-05-02", "uses": 13, "accounts": 10}]


def response(body, status=200, path="/api/v1/timelines/tag/cat"):
    return Response(status, {}, body, "", path, "here.example")


def test_tags_and_statuses_become_rows_and_a_broken_value_costs_its_row():
    items = [
        {"topic": "#Cat", "rank": 1, "list_size": 2, "hour": HOUR.isoformat(), "days": DAYS},
        {"topic": "empty", "rank": 2, "list_size": 2, "hour": HOUR.isoformat(), "days": []},
        "given",
    ]
    records = {
        "Cat": [
            STATUS,
            *({**STATUS, "id": f"{n}", **change} for n, (_, change) in enumerate(BROKEN)),
        ],
        "empty": api.read(Item("empty"), response([])).records,
        "given": [
            {**STATUS, "account": {"id": "2"}, "content": "<p> </p>"},
            {
                **STATUS,
                "id": "7",
                "account": {"id": "x" * 65, "followers_count": -1},
                "reblogs_count": -1,
            }
            | {"created_at": "1995-06-01T00:00:00Z", "content": "x" * 20_001},
        ],
    }
    result = testing.run(PIPELINE, items, records=records, as_of=AS_OF)
    assert list(result.rejected["column"]) == [column for column, _ in BROKEN]
    rows = result.rows.set_index(["topic", "kind"]).sort_index()
    assert Counter(rows.index) == {
        ("cat", "listed"): 1, ("cat", "day"): 1, ("cat", "status"): 1,
        ("empty", "listed"): 1, ("given", "status"): 2,
    }  # fmt: skip

    def first(*place):
        return rows.loc[[place]].iloc[0]

    listed = first("cat", "listed")
    assert (listed["happened_at"], listed["rank"], listed["list_size"]) == (HOUR, 1, 2)
    day = first("cat", "day")
    assert (day["id"], day["mention_count"], day["account_count"]) == ("2026-05-02", 13, 10)
    status = first("cat", "status").drop(["as_of", "happened_at"]).dropna()
    assert status.to_dict() == {
        "server": "here.example", "id": "103270115826048975", "author_id": "1", "author": "Gargron@bücher.example",
        "verified": True, "followers": 322930, "text": '"Lost"\nmy #cat', "reposts": 6, "comments": 5,
        "likes": 11,
    }  # fmt: skip
    assert first("given", "status")[["author", "followers", "text"]].isna().all()
    wide = rows.loc[[("given", "status")]].iloc[1]
    assert wide[["followers", "reposts"]].isna().all()
    assert (len(wide["author_id"]), len(wide["text"])) == (65, 20_001)
    assert set(result.folds["topic_days"]["mention_count"]) == {13}


def test_another_server_has_other_posts_and_the_folds_are_about_the_last_one():
    """The same ids, and none of the posts that the first server has: neither is overwritten or deleted."""

    def run(server, hour, posts, after=None):
        records = {"cat": [{**STATUS, "server": server, "id": f"{n}", **each} for n, each in posts]}
        as_of = AS_OF + timedelta(hours=hour)
        items = [
            {"topic": "cat", "rank": 1, "list_size": 1, "hour": as_of.isoformat()[:13] + ":00Z"}
        ]
        return testing.run(PIPELINE, items, records=records, as_of=as_of, after=after, charts=False)

    first = run("here.example", 0, [(1, {}), (2, {"created_at": "2026-05-02T04:00:00Z"})])
    other = run("there.example", 1, [(1, {"reblogs_count": 1})], first)
    statuses = other.rows[other.rows["kind"] == "status"]
    found = sorted(zip(statuses["server"], statuses["id"], statuses["reposts"], strict=True))
    here = [("here.example", "1", 6), ("here.example", "2", 6)]
    assert found == [*here, ("there.example", "1", 1)]
    assert list(other.folds["topic_statuses"]["reposts"]) == [1]
    assert list(other.folds["topic_changes"]["change"]) == ["unknown"]
    back = run("here.example", 2, [(1, {}), (2, {"created_at": "2026-05-02T04:00:00Z"})], other)
    assert list(back.folds["topic_statuses"]["deleted"]) == [False, False]


def test_the_list_has_ranks_and_days_and_other_servers_may_have_no_history():
    body = [
        {"name": "hola", "history": [{"day": "1574726400", "uses": "13", "accounts": "10"}]},
        {"name": "SaveDotOrg", "history": None},
    ]
    days = [{"day": "2019-11-26", "uses": 13, "accounts": 10}]
    place = {"list_size": 2, "hour": "2026-05-02T10:00:00+00:00"}
    headers = {"Date": "Sat, 02 May 2026 10:59:08 GMT"}
    assert api.read_trends(Response(200, headers, body, "")) == [
        {"topic": "hola", "rank": 1, **place, "days": days},
        {"topic": "SaveDotOrg", "rank": 2, **place, "days": []},
    ]


def test_a_topic_is_one_word():
    assert api.check_item("#Caturday") == "caturday"
    assert api.check_item("Cafe\u0301") == "café"
    assert api.check_item("ตัวอย่าง·2") == "ตัวอย่าง·2"
    for wrong in ("", "#", "a b", "a/b", "a?b", "..", "##", "x" * 201):
        with pytest.raises(ValueError, match="one word"):
            api.check_item(wrong)


def test_only_mastodon_says_that_there_is_no_such_tag():
    item = Item("cat")
    assert isinstance(api.read(item, response({"error": "Record not found"}, 404)), NotThere)
    given = {name: value for name, value in STATUS.items() if name != "server"}
    assert api.read(item, response([given])) == Found([STATUS])
    with pytest.raises(Exception, match="404"):
        api.read(item, response(None, 404))


@pytest.mark.parametrize("status", [401, 403, 422])
@pytest.mark.parametrize(
    "read", [lambda each: api.read(Item("cat"), each), api.read_trends, api.read_check]
)
def test_a_server_that_shows_timelines_to_its_users_only_is_told_with_the_way_out(status, read):
    """Mastodon before 4.5 answers 422."""
    body = {"error": "This method requires an authenticated user"}
    with pytest.raises(
        CredentialRefused, match=rf"only to its users.*HTTP {status}.*another server"
    ):
        read(response(body, status))


# Against the simulator


@pytest.fixture(scope="module")
def process():
    with running() as simulator:
        yield simulator


@pytest.fixture
def simulator(process):
    process.reset()
    process.control(now=NOW, slow_s=0.05, trickle_s=0.1, retry_after_s=0, huge_bytes=1 << 20)
    return process


@pytest.fixture
def endpoint(simulator):
    return Endpoint("mastodon_default", simulator.url, read_timeout=0.5)


def expected():
    """Ids of the newest 200 statuses by topic."""
    return {
        tag["name"].lower(): {
            status["id"]
            for status in hashtags.statuses(hashtags.word_of(tag["name"]), NOW, 200, None)
        }
        for tag in hashtags.trending(NOW)
    }


def found(result):
    """Ids of the statuses of a dataset by topic."""
    statuses = result.rows[result.rows["kind"] == "status"]
    return {topic: set(ids) for topic, ids in statuses.groupby("topic")["id"]}


def found_at(result, as_of):
    """Ids of the statuses that a run saw, by topic."""
    return found(replace(result, rows=result.rows[result.rows["as_of"] == as_of]))


@pytest.fixture(scope="module")
def first(process):
    """A run, and the requests of it."""
    process.reset()
    process.control(now=NOW)
    result = testing.run(PIPELINE, endpoint=Endpoint("mastodon_default", process.url), as_of=AS_OF)
    return result, process.stats()["paths"]


def test_a_run_reads_the_list_and_five_pages_of_each_tag(first):
    result, requests = first
    assert set(result.outcomes["status"]) == {"ok"}
    assert found(result) == expected()
    listed = result.rows[result.rows["kind"] == "listed"].sort_values("rank")
    assert list(listed["topic"]) == [tag["name"].lower() for tag in hashtags.trending(NOW)]
    assert result.outcomes["attempts"].max() == 5
    assert requests["/api/v1/trends/tags"] == 1
    assert len(result.report) > 1000


def test_a_status_that_is_gone_an_hour_later_is_marked_as_deleted(first, simulator, endpoint):
    """Mastodon leaves it out; the newest 200 statuses reach back to an older one."""
    hour, (before, _) = timedelta(hours=1), first
    simulator.control(now=NOW + 3600)
    result = testing.run(
        PIPELINE, endpoint=endpoint, as_of=AS_OF + hour, charts=False, after=before
    )
    words = [hashtags.word_of(tag["name"]) for tag in hashtags.trending(NOW)]
    posts = {str(post.id): post for word in words for post in topics.newest(word, NOW, 1000)}
    oldest = {topic: min(map(int, ids)) for topic, ids in found_at(result, AS_OF + hour).items()}
    expected_gone = {
        (topic, each)
        for topic, ids in found(before).items()
        for each in ids
        if posts[each].is_deleted(NOW + 3600) and int(each) > oldest.get(topic, 1 << 63)
    }
    statuses = result.folds["topic_statuses"]
    gone = statuses[statuses["deleted"]]
    assert set(zip(gone["topic"], gone["status_id"], strict=True)) == expected_gone
    assert expected_gone
    changes = result.folds["topic_changes"]["change"]
    assert {"new", "gone", "unknown"} <= set(changes)


ANSWERS = {"list", "unknown", "odd_code", "invalid", "invalid_other"}
"""Faults that are a valid answer of Mastodon: no statuses, no such tag, a refused request, another id."""


def test_faults_cost_no_item_and_no_status_that_is_not_among_the_rejected_rows(simulator, endpoint):
    """A quarter of the responses is wrong, in all ways."""
    kinds = sorted(set(KINDS) - ANSWERS)
    simulator.control(seed=4, error_rate=dict.fromkeys(kinds, 0.25 / len(kinds)))
    result = testing.run(PIPELINE, endpoint=endpoint, as_of=AS_OF, charts=False)
    assert sum(simulator.stats()["faults"].values()) >= 10
    assert set(result.outcomes["status"]) == {"ok"}, result.outcomes.to_string()
    lost = {topic: ids - found(result)[topic] for topic, ids in expected().items()}
    assert sum(map(len, lost.values())) == len(result.rejected) > 0


def test_a_server_that_refuses_anonymous_timelines_is_told_before_and_during_a_run(
    simulator, endpoint
):
    with ApiSession(PIPELINE.source, endpoint, as_of=AS_OF) as session:
        session.check()  # nobody has used the hashtag that is asked for
        simulator.control(paths={TIMELINE: "21332"})
        with pytest.raises(CredentialRefused, match="only to its users"):
            session.check()
    with pytest.raises(CredentialRefused, match="only to its users"):
        testing.run(PIPELINE, endpoint=endpoint, as_of=AS_OF)
    assert simulator.stats()["paths"][TIMELINE] <= 2 + 8
