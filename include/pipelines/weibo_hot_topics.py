"""Hot topics of Weibo: the hot list of each hour, the posts about its topics, and their statistics by day."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from fanfold import Pipeline
from pipelines import _hot_topic_charts as charts
from pipelines import _hot_topics as topics
from pipelines import _weibo_api as weibo
from pipelines import _weibo_topics_api as api

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from fanfold import Item

_NUMBER = re.compile(r"(\d{1,15})(?:\.0*)?")


def rows(record: Any, item: Item, as_of: datetime) -> Iterator[dict[str, Any]]:
    """Yield the rows of a record: a post, the statistics of a day, or the answer before these."""
    for row in _rows(record, item, as_of):
        yield {"server": weibo.SERVER, **row}


def _rows(record: Any, item: Item, as_of: datetime) -> Iterator[dict[str, Any]]:
    if "errno" in record:
        yield from _listed(item.attributes)
        if str(record["errno"]) != "1":
            yield from _no_statistics(record, as_of)
    elif "day_key" in record:
        yield _day(record)
    elif str(record.get("deleted")) in {"1", "True"}:
        yield {"kind": "deleted", "id": _id(record), "happened_at": as_of}
    else:
        yield _status(record)


def _listed(found: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    hour = found.get("hour")
    if hour:  # a topic of a list that people gave has none
        yield {
            "kind": "listed",
            "id": hour,
            "happened_at": hour,
            "rank": found.get("rank"),
            "list_size": found.get("list_size"),
        }


def _no_statistics(answer: Mapping[str, Any], as_of: datetime) -> Iterator[dict[str, Any]]:
    code = answer.get("error_code", answer["errno"])
    said = answer.get("error") or answer.get("msg") or "no result"
    yield {"kind": "no_statistics", "id": str(code), "text": str(said), "happened_at": as_of}


def _day(day: Mapping[str, Any]) -> dict[str, Any]:
    key = str(day["day_key"])
    return {
        "kind": "day",
        "id": key,
        "happened_at": f"{key[:4]}-{key[4:6]}-{key[6:]}T00:00:00Z",
        "read_count": _number(day.get("read_cnt")),
        "mention_count": _number(day.get("mention_cnt")),
        "account_count": _number(day.get("original_num")),
        "star": None if day.get("topic_star") in {"-", ""} else day.get("topic_star"),
    }


def _status(status: Mapping[str, Any]) -> dict[str, Any]:
    user = status.get("user")
    author = user if isinstance(user, dict) else {}
    return {
        "kind": "status",
        "id": _id(status),
        "happened_at": _moment(status.get("created_at")),
        "author_id": _id(author),
        "author": _text(author.get("screen_name")),
        "verified": _text(author.get("verified")),
        "followers": _text(author.get("followers_count")),
        "text": _text(status.get("text")),
        "reposts": _text(status.get("reposts_count")),
        "comments": _text(status.get("comments_count")),
        "likes": _text(status.get("attitudes_count")),
    }


def _id(record: Mapping[str, Any]) -> Any:
    return record.get("idstr") or record.get("id")


def _text(value: Any) -> Any:
    """Return a value; a text without NUL and surrounding space, and None for an empty one."""
    return value.replace("\0", "").strip() or None if isinstance(value, str) else value


def _moment(value: Any) -> Any:
    """Return a time; a value that is none is returned unchanged, and breaks the contract."""
    try:
        return weibo.moment(value)
    except (ValueError, AttributeError, OverflowError):
        return value


def _number(value: Any) -> Any:
    """Return the number of a text like ``15276.0``, and null for ``-``, which is how Weibo writes it."""
    if value in {"-", ""}:
        return None
    found = _NUMBER.fullmatch(value) if isinstance(value, str) else None
    return int(found[1]) if found else value


PIPELINE = Pipeline(
    name="weibo_hot_topics",
    noun=("topic", "话题"),
    source=api.API,
    each=rows,
    contract=topics.TopicEvent,
    key=topics.KEY,
    dataset="topic_events",
    mode="merge",
    folds=topics.FOLDS,
    charts=charts.CHARTS,
    item_column="topic",
    check_item=topics.check_item,
    label="author",
    measure="likes",
)
