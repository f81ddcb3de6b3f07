"""What the pipelines of hot topics share: the contract, with its kinds of rows, and the folds.

The dataset has one row an event of a topic; its kind says what the row is and which columns it has:

=============  ==================  ==========================================================================
kind           id                  what it is
=============  ==================  ==========================================================================
listed         the hour, as text   the topic was on the hot list: ``rank`` of ``list_size``
status         id of the status    a post: ``author_id`` to ``likes``; the counts of the last run that saw it
deleted        id of the status    the source says that this post was deleted; its row ``status`` stays as it is
day            the date, as text   ``read_count`` to ``star`` of a day
no_statistics  the error code      the source refused the statistics of the days; ``text`` is its message
=============  ==================  ==========================================================================

How the folds count:

* They are about the server that was asked last: others have other posts, and other ids for the same ones.
* A post counts in the hour in which it was written (UTC), with its newest counts; a deleted one with its last
  counts.
* Most sources leave deleted posts out. So a post is deleted if the source marks it, or if a later run got an
  older post of the topic but not this one: results are sorted, and it would have been among them. Older is one
  that was written before, and has a lower id: a Mastodon server sorts by id, and gives some old posts of other
  servers new ids (``lib/mastodon/snowflake.rb``). If it comes back, it is not deleted.
* A topic is compared with the list before that of its hour, which is older than an hour if runs are missing.
  If a topic of one of the two lists could not be fetched, what happened to those missing is ``unknown``.
* An author with several posts counts once, and in ``top_authors`` a post about several topics, too.
"""

from __future__ import annotations

import re
from typing import Any

import pandas as pd
import pandera.pandas as pa

from fanfold import Fold

KINDS = ("listed", "status", "deleted", "day", "no_statistics")
_UTC = {"unit": "us", "tz": "UTC"}
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u2028\u2029]")


def _count() -> Any:
    return pa.Field(nullable=True, in_range={"min_value": 0, "max_value": 10**15})


def _text(limit: int | None = None, *, nullable: bool = True) -> Any:
    return pa.Field(nullable=nullable, str_length={"min_value": 1, "max_value": limit})


class TopicEvent(pa.DataFrameModel):
    """An event of a topic.

    ``server`` is the one that was asked: ids of posts and authors are its own. ``happened_at`` is the hour
    of the list, the time of the post, the day (00:00 UTC), or else the logical date. ``author_id`` to
    ``likes`` are those of a post; ``account_count`` are the people who wrote on a day; ``star`` is Weibo's
    rating of a topic from 0 to 10.
    """

    server: str = _text(nullable=False)
    topic: str = _text(200, nullable=False)
    kind: str = pa.Field(isin=list(KINDS))
    id: str = _text(200, nullable=False)
    happened_at: pd.DatetimeTZDtype = pa.Field(dtype_kwargs=_UTC, ge=pd.Timestamp(0, tz="UTC"))
    rank: pd.Int64Dtype = pa.Field(nullable=True, ge=1)
    list_size: pd.Int64Dtype = pa.Field(nullable=True, ge=1)
    author_id: str = _text(200)
    author: str = _text()
    verified: pd.BooleanDtype = pa.Field(nullable=True)
    followers: pd.Int64Dtype = _count()
    text: str = _text()
    reposts: pd.Int64Dtype = _count()
    comments: pd.Int64Dtype = _count()
    likes: pd.Int64Dtype = _count()
    read_count: pd.Int64Dtype = _count()
    mention_count: pd.Int64Dtype = _count()
    account_count: pd.Int64Dtype = _count()
    star: float = pa.Field(nullable=True, in_range={"min_value": 0, "max_value": 10})


KEY = ("server", "topic", "kind", "id")


def check_item(item: str) -> str:
    """Return a topic in canonical form: without surrounding space and the pair of ``#``."""
    topic = item.strip()
    if len(topic) > 2 and topic[0] == topic[-1] == "#":
        topic = topic[1:-1].strip()
    if not 0 < len(topic) <= 200 or _CONTROL.search(topic):
        raise ValueError("a topic is a text of up to 200 characters in one line, such as #topic#")
    return topic


# --- folds ----------------------------------------------------------------------------------

TOP_TOPICS = 10
TOP_AUTHORS = 10
"""Authors of each of the top topics in the fold ``top_authors``."""


_EVENTS = """
    events AS (
        -- The source was pointed to another server: its lists, posts and authors are others.
        FROM dataset WHERE server = (SELECT arg_max(server, as_of) FROM dataset)
    )"""
_LISTED = f"""
    {_EVENTS}, listed AS (
        -- People and sources may write the same hour in different time zones.
        SELECT topic, happened_at AS hour, arg_max(rank, (as_of, id)) AS rank,
               max(list_size) AS list_size
        FROM events WHERE kind = 'listed' GROUP BY topic, happened_at
    )"""

FOLDS = [
    Fold(
        "topic_statuses",
        key=("topic", "status_id"),
        sql=f"""
            WITH {_EVENTS}, marks AS (
                SELECT topic, id, as_of AS marked_at FROM events WHERE kind = 'deleted'
            ), posts AS (
                -- When an older post of the topic was seen last, and one with a lower id; and when
                -- this one could have been seen first, as a late run may find posts that are newer than it.
                SELECT *, max(as_of) OVER (PARTITION BY topic ORDER BY happened_at
                           RANGE UNBOUNDED PRECEDING EXCLUDE GROUP) AS older_seen_at,
                       max(as_of) OVER (PARTITION BY topic ORDER BY length(id), id
                           ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS lower_seen_at,
                       greatest(as_of, happened_at) AS known_at
                FROM events WHERE kind = 'status'
            )
            SELECT topic, id AS status_id, happened_at AS created_at, author_id, author, verified,
                   followers, text, reposts, comments, likes,
                   coalesce(reposts, 0) + coalesce(comments, 0) + coalesce(likes, 0) AS reactions,
                   coalesce(marked_at >= as_of, false)
                       OR coalesce(older_seen_at > known_at AND lower_seen_at > known_at, false)
                       AS deleted,
                   as_of AS seen_at
            FROM posts LEFT JOIN marks USING (topic, id)""",
    ),
    Fold(
        "topic_heat",
        key=("topic", "hour"),
        sql="""
            SELECT topic, date_trunc('hour', created_at) AS hour, count(*) AS posts,
                   count(*) FILTER (deleted) AS deleted,
                   coalesce(sum(reposts), 0)::BIGINT AS reposts,
                   coalesce(sum(comments), 0)::BIGINT AS comments,
                   coalesce(sum(likes), 0)::BIGINT AS likes,
                   sum(reactions)::BIGINT AS reactions, count(DISTINCT author_id) AS authors,
                   count(DISTINCT author_id) FILTER (verified)
                       / nullif(count(DISTINCT author_id) FILTER (verified IS NOT NULL), 0)
                       AS verified_share
            FROM topic_statuses GROUP BY ALL""",
    ),
    Fold(
        "topic_changes",
        key=("topic", "hour"),
        sql=f"""
            WITH {_LISTED}, lists AS (
                SELECT hour, coalesce(count(*) >= max(list_size), true) AS complete
                FROM listed GROUP BY hour
            ), steps AS (
                SELECT hour, lag(hour) OVER (ORDER BY hour) AS hour_before, complete,
                       coalesce(lag(complete) OVER (ORDER BY hour), false) AS complete_before
                FROM lists
            ), earlier AS (
                SELECT topic, steps.hour, rank AS rank_before, true AS was_listed
                FROM listed JOIN steps ON listed.hour = hour_before
            ), first_seen AS (SELECT topic, min(hour) AS first_hour FROM listed GROUP BY topic)
            SELECT topic, hour,
                   CASE WHEN is_listed IS NULL THEN if(complete, 'gone', 'unknown')
                        WHEN was_listed IS NULL THEN CASE
                            WHEN NOT complete_before THEN 'unknown'
                            WHEN first_hour < hour THEN 'back' ELSE 'new' END
                        WHEN rank < rank_before THEN 'rising'
                        WHEN rank > rank_before THEN 'falling'
                        WHEN rank = rank_before THEN 'same' ELSE 'unknown' END AS change,
                   rank, rank_before, hour_before
            FROM (SELECT topic, hour, rank, true AS is_listed FROM listed)
            FULL JOIN earlier USING (topic, hour)
            JOIN steps USING (hour) JOIN first_seen USING (topic)""",
    ),
    Fold(
        "topic_time_on_list",
        key=("topic",),
        # Lists are numbered: two that follow each other belong to one visit.
        sql=f"""
            WITH {_LISTED}, numbered AS (
                SELECT *, dense_rank() OVER (ORDER BY hour) AS number FROM listed
            ), visits AS (
                SELECT *, number - 1 IS DISTINCT FROM
                       lag(number) OVER (PARTITION BY topic ORDER BY hour) AS begins
                FROM numbered
            )
            SELECT topic, min(hour) AS first_hour, max(hour) AS last_hour, count(*) AS hours,
                   count(*) FILTER (begins) AS visits, min(rank) AS best_rank,
                   arg_min(hour, (rank, hour)) AS best_hour,
                   max(number) = (SELECT max(number) FROM numbered) AS is_listed
            FROM visits GROUP BY topic""",
    ),
    Fold(
        "topic_accounts",
        key=("topic", "author_id"),
        # Name, verification and followers are those of the newest post.
        sql="""
            SELECT topic, author_id, arg_max(author, (created_at, status_id)) AS author,
                   arg_max(verified, (created_at, status_id)) AS verified,
                   arg_max(followers, (created_at, status_id)) AS followers,
                   count(*) AS posts, sum(reactions)::BIGINT AS reactions,
                   sum(reactions) / nullif(sum(sum(reactions)) OVER (PARTITION BY topic), 0)
                       AS reactions_share,
                   min(created_at) AS first_post_at, max(created_at) AS last_post_at
            FROM topic_statuses WHERE author_id IS NOT NULL GROUP BY topic, author_id""",
    ),
    Fold(
        "top_authors",
        key=("author_id",),
        sql=f"""
            WITH found AS (
                SELECT topic, coalesce(min(rank) FILTER (kind = 'listed'), {10**6}) AS best_rank
                FROM dataset WHERE as_of = (SELECT max(as_of) FROM dataset) GROUP BY topic
            ), top AS (
                FROM found ORDER BY best_rank, topic LIMIT {TOP_TOPICS}
            ), ranked AS (
                SELECT *, row_number() OVER (
                    PARTITION BY topic ORDER BY reactions DESC, author_id) AS place
                FROM topic_accounts JOIN top USING (topic)
            ), chosen AS (FROM ranked WHERE place <= {TOP_AUTHORS}), sums AS (
                -- A post about several topics counts once.
                SELECT author_id, count(*) AS posts, sum(reactions)::BIGINT AS reactions FROM (
                    SELECT author_id, status_id, max(topic_statuses.reactions) AS reactions
                    FROM topic_statuses JOIN chosen USING (topic, author_id) GROUP BY ALL
                ) GROUP BY author_id
            )
            SELECT author_id, arg_max(author, (last_post_at, topic)) AS author,
                   count(*) AS topics, arg_min(topic, (place, best_rank, topic)) AS top_topic,
                   min(place) AS best_place, any_value(sums.posts) AS posts,
                   any_value(sums.reactions) AS reactions
            FROM chosen JOIN sums USING (author_id) GROUP BY author_id""",
    ),
    Fold(
        "topic_overlap",
        key=("topic", "other"),
        # Of topics that were read in the day before the newest run.
        sql="""
            WITH recent AS (
                SELECT topic FROM dataset GROUP BY topic
                HAVING max(as_of) > (SELECT max(as_of) FROM dataset) - INTERVAL 24 HOUR
            ), pairs AS (
                SELECT topic, author_id FROM topic_accounts JOIN recent USING (topic)
            ), sizes AS (SELECT topic, count(*) AS size FROM pairs GROUP BY topic)
            SELECT one.topic, two.topic AS other, count(*) AS common_authors,
                   any_value(a.size) AS authors, any_value(b.size) AS other_authors,
                   count(*) / (any_value(a.size) + any_value(b.size) - count(*)) AS jaccard
            FROM pairs AS one
            JOIN pairs AS two ON one.author_id = two.author_id AND one.topic < two.topic
            JOIN sizes AS a ON a.topic = one.topic JOIN sizes AS b ON b.topic = two.topic
            GROUP BY one.topic, two.topic""",
    ),
    Fold(
        "topic_days",
        key=("topic", "day"),
        sql=f"""
            WITH {_EVENTS}
            SELECT topic, happened_at::DATE AS day, read_count, mention_count, account_count, star
            FROM events WHERE kind = 'day'""",
    ),
]
