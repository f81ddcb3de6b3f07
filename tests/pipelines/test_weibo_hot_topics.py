"""Weibo's hot topics: five merged hours of the simulator against a replay of them without SQL."""

from __future__ import annotations

import html
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from itertools import combinations, pairwise

import duckdb
import numpy as np
import pandas as pd
import pytest

from fanfold import testing
from fanfold.simulator import people, topics
from fanfold.simulator.faults import KINDS
from fanfold.simulator.process import running
from fanfold.sources.endpoint import Endpoint
from pipelines.weibo_hot_topics import PIPELINE

START = 1_795_773_900
"""Five minutes after a full hour."""
HOURS = [START + 3600 * hour for hour in (0, 1, 2, 4, 5)]
"""A run is missing, and a topic comes back."""
ODD = [
    "100%高考",
    "C#写火锅",
    "双十一/隔壁 二选一",
    "露营 🚀",
    "奶茶?&=+;",
    "<i>春运</i>",
    "'故宫\"",
]
TWO = [
    {"topic": topic, "rank": rank, "hour": "2026-11-27T10:00:00+00:00", "list_size": 2}
    for rank, topic in enumerate(topics.hot(START)[:2], start=1)
]
STATISTIC = "/2/search/trends/statistic.json"


def when(seconds):
    return pd.Timestamp(seconds, unit="s", tz="UTC")


def full_hour(seconds):
    return when(seconds // 3600 * 3600)


@pytest.fixture(scope="module")
def simulator():
    with running() as simulator:
        yield simulator


def run(simulator, now, items=(), *, after=None, charts=False, **settings):
    simulator.control(reset=True, now=now, **settings)
    endpoint = Endpoint("weibo_default", simulator.url, simulator.token, read_timeout=1)
    return testing.run(
        PIPELINE, items, endpoint=endpoint, as_of=datetime.fromtimestamp(now, UTC), after=after,
        charts=charts,
    )  # fmt: skip


@pytest.fixture(scope="module")
def merged(simulator):
    """The results of HOURS, each merged into the one before."""
    result, results = None, []
    for now in HOURS:
        result = run(simulator, now, after=result, charts=now == HOURS[-1])
        assert set(result.outcomes["status"]) == {"ok"}
        assert result.rejected.empty
        results.append(result)
    return results


@pytest.fixture(scope="module")
def last(merged):
    """The folds after the last hour."""
    return merged[-1].folds


@pytest.fixture(scope="module")
def expected():
    """The posts that the API returned, with what was seen last, and which of them are gone."""
    seen, gone = {}, {}
    for now in HOURS:
        for topic in topics.hot(now):
            found = topics.newest(topic, now, 200)
            visible = [post for post in found if not post.is_deleted(now)]
            for post in visible:
                reposts, comments, likes = post.counts(now)
                seen[topic, str(post.id)] = (post, now, reposts, comments, likes)
            marked = {str(post.id) for post in found} - {str(post.id) for post in visible}
            oldest = min((post.created for post in visible), default=now)
            for (of, status), (post, last, *_) in seen.items():
                if of == topic and last < now and (post.created > oldest or status in marked):
                    gone[topic, status] = True
    rows = [
        {
            "topic": topic, "status_id": status, "created_at": when(post.created), "author_id": post.uid,
            "verified": people.profile(post.uid)["verified"],
            "reposts": reposts, "comments": comments, "likes": likes,
            "reactions": reposts + comments + likes, "deleted": (topic, status) in gone,
            "seen_at": when(last),
        }
        for (topic, status), (post, last, reposts, comments, likes) in seen.items()
    ]  # fmt: skip
    return pd.DataFrame(rows), seen


def same(found, expected):
    """Compare tables by the columns of the expected one, in its key order."""
    keys = list(expected.index.names)
    found = found.set_index(keys)[list(expected)].sort_index()
    pd.testing.assert_frame_equal(
        found, expected.sort_index(), check_dtype=False, check_index_type=False, rtol=1e-12
    )


def test_each_post_has_its_last_counts_and_deleted_ones_a_mark(last, expected):
    posts, seen = expected
    same(last["topic_statuses"], posts.set_index(["topic", "status_id"]))
    deleted = posts[posts["deleted"]]
    # No post is said to be deleted that is not.
    for topic, status in zip(deleted["topic"], deleted["status_id"], strict=True):
        assert seen[topic, status][0].is_deleted(HOURS[-1])
    marks = [
        seen[key][0].leaves_mark for key in zip(deleted["topic"], deleted["status_id"], strict=True)
    ]
    assert marks.count(True) >= 3, "of posts that leave a mark"
    assert marks.count(False) >= 3, "of posts that are no longer among the results"
    assert deleted["reactions"].sum() > 0
    assert posts["status_id"].duplicated().sum() > 20, "posts with two topics"


def test_counts_grow_from_hour_to_hour(merged):
    first, later = (merged[place].folds["topic_statuses"] for place in (0, -1))
    both = first.merge(later, on=["topic", "status_id"])
    assert len(both) == len(first)
    assert (both["reactions_y"] >= both["reactions_x"]).all()
    assert (both["reactions_y"] > both["reactions_x"]).sum() > 100
    assert (both["seen_at_y"] > both["seen_at_x"]).sum() > 500


def test_heat_is_that_of_pandas(last, expected):
    posts = expected[0].assign(hour=expected[0]["created_at"].dt.floor("h"))
    groups = posts.groupby(["topic", "hour"])
    heat = groups[["deleted", "reposts", "comments", "likes", "reactions"]].sum()
    heat["posts"], heat["authors"] = groups.size(), groups["author_id"].nunique()
    verified = posts[posts["verified"]].groupby(["topic", "hour"])["author_id"].nunique()
    heat["verified_share"] = (verified / heat["authors"]).fillna(0)
    same(last["topic_heat"], heat)


def test_changes_are_those_of_the_lists(last):
    lists = [{word: rank for rank, word in enumerate(topics.hot(now), start=1)} for now in HOURS]
    before = [None, *lists]
    rows, ever = [], set()
    for now, ranks, earlier in zip(HOURS, lists, before, strict=False):
        for topic in {*ranks, *(earlier or ())}:
            rank, old = ranks.get(topic), (earlier or {}).get(topic)
            if earlier is None:
                change = "unknown"
            elif rank is None:
                change = "gone"
            elif old is None:
                change = "back" if topic in ever else "new"
            else:
                change = "same" if rank == old else "rising" if rank < old else "falling"
            rows.append((topic, full_hour(now), change, rank, old))
        ever |= set(ranks)
    names = ["topic", "hour", "change", "rank", "rank_before"]
    table = pd.DataFrame(rows, columns=names).astype({"rank": float, "rank_before": float})
    assert set(table["change"]) == {"unknown", "new", "back", "rising", "falling", "same", "gone"}
    found = last["topic_changes"]
    same(found, table.set_index(["topic", "hour"]))
    steps = found[["hour", "hour_before"]].dropna().drop_duplicates()
    assert dict(steps.itertuples(index=False)) == {
        full_hour(now): full_hour(then) for then, now in pairwise(HOURS)
    }


def test_time_on_the_list_is_counted_in_lists(last):
    lists = [topics.hot(now) for now in HOURS]
    rows = []
    for topic in {topic for found in lists for topic in found}:
        places = [place for place, found in enumerate(lists) if topic in found]
        ranks = {place: lists[place].index(topic) + 1 for place in places}
        best = min(places, key=lambda place: (ranks[place], place))
        rows.append(
            {
                "topic": topic,
                "first_hour": full_hour(HOURS[places[0]]),
                "last_hour": full_hour(HOURS[places[-1]]),
                "hours": len(places),
                "visits": 1 + sum(b - a > 1 for a, b in pairwise(places)),
                "best_rank": ranks[best],
                "best_hour": full_hour(HOURS[best]),
                "is_listed": topic in lists[-1],
            }
        )
    table = pd.DataFrame(rows).set_index("topic")
    assert table["visits"].max() == 2
    same(last["topic_time_on_list"], table)


def test_accounts_top_authors_and_overlap_are_those_of_pandas(last, expected):
    posts = expected[0]
    groups = posts.groupby(["topic", "author_id"])
    accounts = groups.agg(
        posts=("status_id", "size"),
        reactions=("reactions", "sum"),
        first_post_at=("created_at", "min"),
        last_post_at=("created_at", "max"),
    )
    totals = accounts.groupby("topic")["reactions"].transform("sum")
    accounts["reactions_share"] = accounts["reactions"] / totals
    same(last["topic_accounts"], accounts)

    leading, own = defaultdict(list), defaultdict(dict)
    for topic in topics.hot(HOURS[-1]):
        of_topic = accounts.loc[topic].reset_index()
        ranked = of_topic.sort_values(["reactions", "author_id"], ascending=[False, True])
        for place, row in enumerate(ranked.head(10).itertuples(), start=1):
            leading[row.author_id].append(place)
            his = posts[(posts["topic"] == topic) & (posts["author_id"] == row.author_id)]
            for post in his.itertuples():
                own[row.author_id].setdefault(post.status_id, []).append(post.reactions)
    table = pd.DataFrame(
        [
            (
                author,
                len(places),
                min(places),
                len(own[author]),
                sum(map(max, own[author].values())),
            )
            for author, places in leading.items()
        ],
        columns=["author_id", "topics", "best_place", "posts", "reactions"],
    )
    assert table["posts"].sum() < sum(len(seen) for each in own.values() for seen in each.values())
    same(last["top_authors"], table.set_index("author_id"))

    authors = posts.groupby("topic")["author_id"].agg(set)
    pairs = {
        (one, two): len(authors[one] & authors[two]) / len(authors[one] | authors[two])
        for one, two in combinations(sorted(authors.index), 2)
        if authors[one] & authors[two]
    }
    overlap = pd.Series(pairs, name="jaccard").rename_axis(["topic", "other"]).to_frame()
    same(last["topic_overlap"], overlap)


def test_days_are_those_of_the_source_and_a_dash_is_null(last):
    found = last["topic_days"]
    first, last = date(2026, 11, 21), date(2026, 11, 27)
    read = {}
    for now in HOURS:
        for topic in topics.hot(now):
            for day in topics.days(topic, first, last, now):
                is_counted = isinstance(day, topics.Day)
                read[topic, day.day if is_counted else day] = day.reads if is_counted else np.nan
    reads = pd.Series(read, name="read_count").rename_axis(["topic", "day"]).to_frame()
    assert reads["read_count"].isna().any()
    same(found.astype({"read_count": float}), reads)
    counted = found.dropna(subset="read_count")
    assert counted["star"].between(0, 10).all()
    assert (counted["mention_count"] > counted["account_count"]).all()


def test_the_report_says_what_leads_and_what_is_gone(merged):
    lists = [topics.hot(now) for now in HOURS]
    said = html.unescape(merged[-1].report)
    hours = sum(lists[-1][0] in found for found in lists)
    hour = full_hour(HOURS[-1]).strftime("%Y-%m-%d %H:%M")
    assert (
        f"{lists[-1][0]} leads the list of {hour} (UTC); hours on the list: {hours}. New: " in said
    )
    gone = ", ".join(topic for topic in lists[-2] if topic not in lists[-1])
    assert gone
    assert f"Gone: {gone}." in said


# --- what goes wrong ------------------------------------------------------------------------


def test_refused_statistics_cost_no_post_and_the_report_says_so(simulator):
    listed = run(simulator, START, TWO)
    refused = run(simulator, START, TWO, paths={STATISTIC: "10014"}, charts=True)
    assert set(refused.outcomes["status"]) == {"ok"}
    counts = refused.rows["kind"].value_counts()
    assert (counts["no_statistics"], counts["listed"]) == (2, 2)
    assert set(refused.rows[refused.rows["kind"] == "no_statistics"]["id"]) == {"10014"}
    assert not listed.folds["topic_days"].empty
    assert refused.folds["topic_days"].empty
    for name in ("topic_statuses", "topic_heat", "topic_changes"):
        pd.testing.assert_frame_equal(refused.folds[name], listed.folds[name])
    said = "Without statistics by day: 2. Insufficient app permissions!"
    assert said in refused.report


def test_a_topic_that_cannot_be_fetched_is_not_said_to_be_gone(simulator):
    def listed(hour, *words):
        size, text = len(words), full_hour(START + hour * 3600).isoformat()
        return [
            {"topic": word, "rank": rank, "hour": text, "list_size": size}
            for rank, word in enumerate(words, start=1)
        ]

    one, two, three = topics.hot(START)[:3]
    first = run(simulator, START, listed(0, one, two))
    second = run(simulator, START + 3600, listed(1, three, two), after=first, uids={two: "10016"})
    assert second.outcomes["status"].to_dict() == {three: "ok", two: "failed"}
    changes = run(simulator, START + 7200, listed(2, two, three), after=second).folds[
        "topic_changes"
    ]
    by_hour = changes.groupby("hour")[["topic", "change"]]
    assert [dict(found.to_numpy()) for _, found in by_hour] == [
        {one: "unknown", two: "unknown"},  # the first list
        {one: "unknown", two: "unknown", three: "new"},  # one of them must be gone
        {two: "unknown", three: "falling"},
    ]


def test_topics_with_odd_characters_are_asked_for_as_they_are(simulator):
    hashed = [f"#{topic}#" for topic in ODD]
    result = run(simulator, START, hashed)
    assert list(result.outcomes.index) == ODD
    found = result.folds["topic_statuses"]
    assert found.groupby("topic")["status_id"].count().loc[ODD].min() > 20
    assert all(
        f"#{topic}#" in text for topic, text in zip(found["topic"], found["text"], strict=True)
    )
    # Without a list, they have no rank.
    assert result.folds["topic_changes"].empty


def test_only_the_newest_200_posts_of_a_topic_are_read(simulator):
    now = START + 10 * 3600
    topic = max(topics.hot(now), key=lambda each: len(topics.newest(each, now, 10**6)))
    assert len(topics.newest(topic, now, 10**6)) > 250
    simulator.reset()
    result = run(simulator, now, [topic])
    read = result.rows[result.rows["kind"].isin(["status", "deleted"])]
    assert set(read["id"]) == {str(post.id) for post in topics.newest(topic, now, 200)}
    assert simulator.stats()["requests"] == 5, "four pages and the statistics"


def test_an_unknown_topic_has_no_posts_and_no_statistics(simulator):
    result = run(simulator, START, ["没有人说过的话题"])
    assert list(result.outcomes["status"]) == ["ok"]
    assert list(result.rows["kind"]) == ["no_statistics"]
    assert result.folds["topic_statuses"].empty


def test_with_a_fifth_of_all_responses_faulty_each_topic_is_ok(simulator, merged):
    """Only statistics may be missing: a broken answer in their place is not requested again."""
    good = merged[0]
    rates = dict.fromkeys(sorted(KINDS), 0.2 / len(KINDS))
    small = {"slow_s": 0.05, "trickle_s": 0.2, "huge_bytes": 2**20, "bomb_bytes": 2**24}
    items = topics.hot(START)
    bad = run(simulator, START, items, error_rate=rates, seed=6, retry_after_s=0, **small)
    assert sum(simulator.stats()["faults"].values()) > 8
    assert set(bad.outcomes["status"]) == {"ok"}
    assert bad.rejected.empty
    assert bad.outcomes["attempts"].sum() > good.outcomes["attempts"].sum()
    pd.testing.assert_frame_equal(bad.folds["topic_statuses"], good.folds["topic_statuses"])
    assert len(bad.folds["topic_days"]) >= 0.8 * len(good.folds["topic_days"])


# --- records that the simulator does not send -----------------------------------------------

STATUS = {
    "id": 4_848_578_991_822_169,
    "idstr": "4848578991822169",
    "created_at": "Fri Nov 27 16:59:56 +0800 2026",
    "text": "#咖啡#好喝",
    "reposts_count": 1,
    "comments_count": 2,
    "attitudes_count": 3,
    "user": {"id": 7, "screen_name": "甲", "verified": True, "followers_count": 10},
}
END = {"errno": 1, "msg": "成功", "code": "B00001"}
AS_OF = datetime(2026, 11, 27, 10, tzinfo=UTC)


def read(*records, as_of=AS_OF, after=None):
    return testing.run(
        PIPELINE, records={"咖啡": [*records, END]}, as_of=as_of, after=after, charts=False
    )


def test_a_post_on_two_pages_is_one_row_with_the_later_counts():
    later = {**STATUS, "attitudes_count": 4}
    result = read(STATUS, {**STATUS, "id": 5, "idstr": "5"}, later)
    assert result.folds["topic_statuses"]["likes"].tolist() == [4, 3]
    assert result.folds["topic_heat"]["posts"].tolist() == [2]


def test_a_deleted_post_that_comes_back_is_not_deleted():
    stub = {"id": STATUS["id"], "text": "抱歉", "deleted": "1"}
    first = read(STATUS)
    second = read(stub, as_of=AS_OF + timedelta(hours=1), after=first)
    (gone,) = second.folds["topic_statuses"].itertuples()
    assert (gone.deleted, gone.likes, gone.seen_at) == (True, 3, when(AS_OF.timestamp()))
    third = read(STATUS, as_of=AS_OF + timedelta(hours=2), after=second)
    assert third.folds["topic_statuses"]["deleted"].tolist() == [False]


def test_a_broken_post_costs_only_itself():
    broken = [
        ({"created_at": "yesterday"}, "happened_at"),
        ({"created_at": None}, "happened_at"),
        ({"id": None, "idstr": None}, "id"),
        ({"attitudes_count": -1}, "likes"),
        ({"reposts_count": "many"}, "reposts"),
        ({"user": {**STATUS["user"], "verified": "yes"}}, "verified"),
    ]
    posts = [{**STATUS, "id": n, "idstr": f"{n}", **fields} for n, (fields, _) in enumerate(broken)]
    result = read(STATUS, *posts)
    assert list(result.rejected["column"]) == [column for _, column in broken]
    assert result.folds["topic_statuses"]["status_id"].tolist() == [STATUS["idstr"]]


def test_a_post_without_author_counts_but_for_authors():
    result = read({**STATUS, "user": None}, {**STATUS, "id": 5, "idstr": "5"})
    heat = result.folds["topic_heat"].iloc[0]
    assert (heat["posts"], heat["authors"], heat["verified_share"]) == (2, 1, 1.0)


def test_numbers_of_statistics_are_texts_and_dashes():
    days = [
        {"day_key": "20261126", "read_cnt": "15276.0", "mention_cnt": "0.0", "original_num": "0", "topic_star": "4.15"},
        {"day_key": "20261127", "read_cnt": "-", "mention_cnt": "-", "original_num": "-", "topic_star": "-"},
        {"day_key": "20261128", "read_cnt": "1.5"},
    ]  # fmt: skip
    result = testing.run(PIPELINE, records={"咖啡": [END, *days]}, as_of=AS_OF, charts=False)
    found = result.folds["topic_days"].drop(columns=["topic", "as_of"]).astype(object)
    found = found.where(found.notna(), None)
    assert found.to_dict("records") == [
        {"day": date(2026, 11, 26), "read_count": 15276, "mention_count": 0, "account_count": 0, "star": 4.15},
        {"day": date(2026, 11, 27), "read_count": None, "mention_count": None, "account_count": None, "star": None},
    ]  # fmt: skip
    assert list(result.rejected["value"]) == ["1.5"]


def test_what_is_no_topic_is_named():
    for item in ("", " # # ", "a\nb", "x" * 201):
        with pytest.raises(ValueError, match="a topic is a text"):
            PIPELINE.check_item(item)
    assert PIPELINE.check_item(" #C#写火锅# ") == "C#写火锅"
    assert [PIPELINE.check_item(item) for item in ("C#", "#1")] == ["C#", "#1"]


# --- records as they come, without a simulator ----------------------------------------------

ANSWER = {"errno": None}


def merge(after, hours, items, *statuses):
    """The result of a run ``hours`` after START, which finds these statuses of the only topic."""
    records = {"t": [ANSWER, *statuses]}
    as_of = datetime.fromtimestamp(START + 3600 * hours, UTC)
    return testing.run(PIPELINE, items, records=records, as_of=as_of, after=after, charts=False)


def status(number, hours, *, author="1", name="a"):
    """A post that was written ``hours`` after START."""
    created = datetime.fromtimestamp(START + 3600 * hours, UTC)
    user = {"idstr": author, "screen_name": name}
    counts = dict.fromkeys(("reposts_count", "comments_count", "attitudes_count"), number)
    text = f"{created:%a %b %d %H:%M:%S +0000 %Y}"
    return {"idstr": str(number), "created_at": text, "user": user, "text": "x", **counts}


def deleted(result):
    posts = result.folds["topic_statuses"]
    return set(posts[posts["deleted"]]["status_id"])


def test_posts_that_a_run_of_an_earlier_date_finds_are_not_deleted():
    """A backfill or redrive has an old date, but finds the posts of now."""
    first = merge(None, 0, ["t"], status(1, -2), status(2, -1))
    late = merge(first, -24, ["t"], status(1, -2), status(2, -1), status(3, 0.5))
    assert deleted(late) == set()
    assert deleted(merge(late, 1, ["t"], status(1, -2), status(2, -1))) == {"3"}


def test_an_old_post_with_a_new_id_deletes_none_that_is_out_of_reach():
    """Mastodon sorts by id: what is between the dates, but below the lowest id, is not asked for."""
    first = merge(None, 0, ["t"], status(1, -3), status(2, -2), status(3, -1))
    second = merge(first, 1, ["t"], status(2, -2), status(4, -9))
    assert deleted(second) == {"3"}


def test_an_hour_in_two_time_zones_is_one_list():
    def listed(hour, rank=None):
        return [{"topic": "t", "hour": hour, "rank": rank}]

    hours = ["2026-11-27T18:00:00+08:00", "2026-11-27T10:00:00Z", "2026-11-27T11:00:00Z"]
    first = merge(merge(None, 0, listed(hours[0], 1)), 0.1, listed(hours[1], 2))
    assert first.folds["topic_changes"]["rank"].to_list() == [2]
    # Without a rank, it is listed all the same.
    second = merge(first, 1, listed(hours[2])).folds
    assert second["topic_changes"]["change"].to_list() == ["unknown", "unknown"]
    assert second["topic_time_on_list"]["hours"].to_list() == [2]


def test_authors_without_a_name_are_told_apart_in_the_report():
    posts = [status(number, -1, author=f"77{number}", name=None) for number in (1, 2)]
    top_authors = merge(None, 0, ["t"], *posts).folds["top_authors"]
    (sql,) = (chart.sql for chart in PIPELINE.charts if "FROM top_authors" in chart.sql)
    with duckdb.connect() as connection:
        connection.register("top_authors", top_authors)
        shown = connection.execute(sql).fetchall()
    assert [author for author, *_ in shown] == ["772", "771"]
