"""Simulated hot topics and their posts, functions of topic and time (seconds since 1970).

Two topics begin each hour, rise within a few hours, fall, and some have a second wave; the ten with the most posts
of an hour are its hot list, so topics appear, rise, fall, go and come back. Posts are written at the pace
of their topic; their counts grow from second to second; one in 23 is deleted after some hours, half of these without a
trace. Two topics of an hour share posts, and the topics of a circle share authors. The same word is a new topic
after twelve days.

Same results on every machine: integer arithmetic on BLAKE2b hashes.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from fanfold.simulator.people import FIRST_UID, LAST_UID
from fanfold.simulator.vocabulary import pick

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

ON_LIST = 10
"""Topics of a hot list."""
HOUR = 3600
CHINA = 8 * HOUR
"""Offset of the time zone of China in seconds."""
_DRAWS = struct.Struct("<16I")

_SUBJECTS = (
    "广州地铁", "春运", "国产大飞机", "高考", "冬奥会", "世界杯", "新能源车", "大熊猫", "故宫", "双十一",
    "台风", "流星雨", "中秋晚会", "马拉松", "机器人", "量子计算", "咖啡", "奶茶", "火锅", "螺蛳粉", "露营",
    "演唱会", "图书馆", "宠物医院",
)  # fmt: skip
_PATTERNS = (
    "{0}最新消息", "{0}官方回应", "{0}有多火", "{0}上新了", "{0}名场面", "你怎么看{0}", "{0}冷知识",
    "{0}背后的故事", "{0}排队三小时", "{0}涨价", "第一次体验{0}", "{0}开放预约", "{0}热度第一", "专家谈{0}",
    "{0}的一天", "{0}回忆杀", "{0} 🚀", "{0}/隔壁 二选一", "100%{0}", "C#写{0}", "{0}?&=+;", "<i>{0}</i>",
    "{0} vs {0}", "'{0}\"",
)  # fmt: skip
WORDS = tuple(pattern.format(subject) for pattern in _PATTERNS for subject in _SUBJECTS)
_STEP = 257  # coprime with the number of words: neighbours have different subjects and patterns
_INDEX = {word: index for index, word in enumerate(WORDS)}
_TIMES = (1, 2, 3)
_SHAPE = (15, 45, 80, 100, 95, 82, 66, 52, 40, 31, 24, 18, 14, 10, 8, 6, 4, 3, 2, 1)
"""Pace by age in hours, as a percentage of the peak; slow topics take twice or three times as long."""
LIFE = len(_SHAPE) * _TIMES[-1]
"""Hours in which a topic has posts."""
_PEAKS = (10, 15, 22, 32, 45, 60, 85, 130, 320)
"""Posts an hour at the peak of a topic."""
_BY_CLOCK = (70, 50, 35, 25, 22, 25, 40, 60, 80, 90, 95, 95, 100, 95, 90, 90, 92, 95, 100, 105, 115, 120, 115, 95)  # fmt: skip
"""Pace by hour of the day in China, in per cent."""
_CIRCLES = 6
_PHRASES = (
    "支持！", "第一次知道", "转发给朋友看看", "有人一起吗？", "说得太好了", "等一个结果", "笑死 😂", "现场图来了 [心]",
    "理性讨论", "这也能上热搜", "记录一下", "@微博小秘书 怎么看", "期待后续", "=1+1", "<b>重要</b>",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Post:
    """A post.

    Attributes:
        id: Its id; a later post has a larger one.
        created: When it was written.
        uid: Its author, a user of :mod:`fanfold.simulator.people`.
        words: Its topics, one or two.
        text: Its text, with its topics.
        final: Reposts, comments and likes in the end.
        deleted: When it is deleted; None if it stays.
        leaves_mark: Whether an API still returns its id after that, or nothing.
    """

    id: int
    created: int
    uid: str
    words: tuple[str, ...]
    text: str
    final: tuple[int, int, int]
    deleted: int | None
    leaves_mark: bool

    def is_deleted(self, now: int) -> bool:
        """Return whether it is deleted."""
        return self.deleted is not None and self.deleted <= now

    def counts(self, now: int) -> tuple[int, int, int]:
        """Return reposts, comments and likes: half of the final ones after three hours."""
        age = max(0, now - self.created)
        reposts, comments, likes = (count * age // (age + 3 * HOUR) for count in self.final)
        return reposts, comments, likes


@dataclass(frozen=True, slots=True)
class Day:
    """What is counted of a topic on a day in China."""

    day: date
    reads: int
    mentions: int
    accounts: int


def hot(now: int) -> list[str]:
    """Return the hot list of an hour, the hottest topic first."""
    hour = now // HOUR
    numbers = range(2 * (hour - LIFE), 2 * hour + 2)
    ranked = sorted(numbers, key=lambda number: (-_posts_in(number, hour), number))
    return [_word(number) for number in ranked[:ON_LIST]]


def newest(word: str, now: int, limit: int) -> list[Post]:
    """Return the newest posts about a topic, the newest first; none of an unknown topic.

    Deleted posts that leave a mark are among them.
    """
    found: list[Post] = []
    number = _number(word, now)
    if number is None:
        return found
    first = number // 2
    for hour in range(min(now // HOUR, first + LIFE), first - 1, -1):
        posts = [
            post
            for each in (number, number ^ 1)
            for post in _posts(each, hour)
            if word in post.words
            and post.created <= now
            and (post.leaves_mark or not post.is_deleted(now))
        ]
        found += sorted(posts, key=lambda post: -post.id)
        if len(found) >= limit:
            break
    return found[:limit]


def days(word: str, first: date, last: date, now: int) -> Iterator[Day | date]:
    """Yield what is counted of a topic on each day; only the date of a day without posts."""
    number = _number(word, now)
    for ordinal in range(first.toordinal(), last.toordinal() + 1):
        day = first.fromordinal(ordinal)
        hour = ((ordinal - _EPOCH) * 24 * HOUR - CHINA) // HOUR
        hours = range(hour, min(hour + 24, now // HOUR + 1))
        posts = sum(_posts_in(number, each) for each in hours) if number is not None else 0
        if posts:
            reads = posts * 40 * (120 + _draws(f"{number}/{ordinal}")[0] % 200)
            yield Day(day, reads, posts * 40, posts * 9)
        else:
            yield day


_EPOCH = 719_163
"""Ordinal of 1970-01-01."""


def _word(number: int) -> str:
    return WORDS[number * _STEP % len(WORDS)]


def _number(word: str, now: int) -> int | None:
    """Return the number of the newest topic with a word."""
    if word not in _INDEX:
        return None
    newest_number = 2 * (now // HOUR) + 1
    residue = _INDEX[word] * pow(_STEP, -1, len(WORDS)) % len(WORDS)
    return newest_number - (newest_number - residue) % len(WORDS)


@lru_cache(maxsize=100_000)
def _draws(name: str) -> tuple[int, ...]:
    return _DRAWS.unpack(hashlib.blake2b(name.encode(), person=b"topics").digest())


@lru_cache(maxsize=100_000)
def _posts_in(number: int, hour: int) -> int:
    """Return the number of posts that begin at a topic in an hour."""
    draws = _draws(str(number))
    age = hour - number // 2
    pace = _pace(age // _TIMES[draws[1] % len(_TIMES)])
    if draws[2] % 4 == 0:  # a second wave
        pace += 8 * _pace(age - 14 - draws[3] % 12) // 10
    noise = 85 + _draws(f"{number}/{hour}")[1] % 31
    clock = _BY_CLOCK[(hour + CHINA // HOUR) % 24]
    return _PEAKS[draws[0] % len(_PEAKS)] * pace * noise * clock // 10**6


def _pace(age: int) -> int:
    return _SHAPE[age] if 0 <= age < len(_SHAPE) else 0


@lru_cache(maxsize=2000)
def _posts(number: int, hour: int) -> tuple[Post, ...]:
    """Return the posts of an hour that begin at a topic; some are about its neighbour, too."""
    return tuple(_post(number, hour, place) for place in range(_posts_in(number, hour)))


def _post(number: int, hour: int, place: int) -> Post:
    draws = _draws(f"{number}/{hour}/{place}")
    created = hour * HOUR + (place * HOUR + draws[0] % HOUR) // _posts_in(number, hour)
    words = (_word(number), _word(number ^ 1)) if draws[1] % 8 == 0 else (_word(number),)
    # Some accounts write most of the posts of their circle; the others are random users.
    circle, size = (number % _CIRCLES, 300) if draws[2] % 5 < 3 else (_CIRCLES, 5000)
    account = _draws(f"author/{circle}/{min(draws[3] % size, draws[4] % size)}")
    uid = FIRST_UID + (account[0] << 32 | account[1]) % (LAST_UID - FIRST_UID + 1)
    return Post(
        id=created * 2_700_000 + number % 1350 * 2000 + place,
        created=created,
        uid=str(uid),
        words=words,
        text="".join(f"#{word}#" for word in words) + pick(_PHRASES, draws[5]),
        final=(_size(draws[6], 2), _size(draws[7], 3), _size(draws[8], 8)),
        deleted=created + (1 + draws[9] % 6) * HOUR if draws[10] % 23 == 0 else None,
        leaves_mark=draws[11] % 2 == 0,
    )


def _size(draw: int, base: int) -> int:
    """Return a final count; each doubling is half as likely."""
    doublings = 12 - min(12, (draw & 0xFFF).bit_length())
    return (base << doublings) * ((draw >> 12) & 0xFFFF) // 32_768
