"""Simulated Weibo users, a function of uid and time.

Profiles are the same on every machine and Python version: integer arithmetic on a BLAKE2b hash of
the uid, no floats and no ``random``.
"""

from __future__ import annotations

import hashlib
import json
import struct
from bisect import bisect_right
from datetime import date
from typing import Any, NamedTuple

from fanfold.simulator import vocabulary as words
from fanfold.simulator.provinces import PLACES
from fanfold.simulator.vocabulary import pick

FIRST_UID = 1_000_000_000
LAST_UID = 7_999_999_999
FIRST_DAY = date(2009, 8, 14).toordinal()
LAST_DAY = date(2026, 6, 30).toordinal()
POSTS_UNTIL = LAST_DAY + 31
"""Day of the newest posts at age 0 of the simulated data."""
MOST_FOLLOWERS = 100_000_000


class Age(NamedTuple):
    """The age of the simulated data, as of 31 July 2026.

    Attributes:
        days: By which the newest posts are later.
        hours: In which the counts have grown, in addition to these days.
    """

    days: int = 0
    hours: int = 0

    @property
    def grown(self) -> int:
        """Hours in which the counts have grown."""
        return 24 * self.days + self.hours


NEW = Age()

_WORDS = struct.Struct("<32I")
_ENCODE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode
_NAMES_KEPT = 10_000
_names: dict[str, str] = {}
"""Uids of the latest screen names, which cannot be computed from the hash."""

# Cumulative shares (of 65,536) of users with at most 0, 1, 2, 4, 8, … followers: log-normal with
# median 180, sigma 2.1 and 1 % zeros; for verified users with median 30,000 and sigma 2.2.
_PLAIN = (655, 1090, 1698, 2922, 5138, 8736, 13982, 20847, 28912, 37417, 45467, 52309, 57527, 61100, 63296, 64508, 65108, 65374, 65481, 65519, 65531, 65535, 65536)  # fmt: skip
_FAMOUS = (0, 0, 0, 2, 6, 20, 61, 170, 430, 995, 2106, 4087, 7288, 11974, 18192, 25669, 33817, 41863, 49064, 54904, 59196, 62056, 63782, 64726, 65194, 65404, 65490, 65536)  # fmt: skip

# Cumulative shares (of 65,536) of accounts created by the end of each year from 2009.
_YEARS = (900, 7000, 19000, 29500, 37000, 42500, 46500, 50000, 53000, 55500, 57700, 59600, 61200, 62500, 63600, 64500, 65200, 65536)  # fmt: skip

# verified_type and its frequency in 1,000 users.
_TYPES = tuple(
    kind
    for kind, share in (
        (-1, 836), (0, 62), (1, 6), (2, 20), (3, 6), (4, 3), (5, 2), (7, 3), (200, 20), (220, 42),
    )
    for _ in range(share)
)  # fmt: skip
_POSTS_A_DAY = (0, 1, 1, 2, 3, 5, 8, 12, 20, 30, 45, 70, 110, 180, 300, 600, 1500)
"""Posts per 100 days; each value applies to 1/16 of the users."""


def exists(uid: str) -> bool:
    """Return whether a uid is a number from FIRST_UID to LAST_UID."""
    return len(uid) == 10 and uid.isascii() and uid.isdigit() and "1" <= uid[0] <= "7"


def uid_of_name(name: str) -> str | None:
    """Return the uid of ``用户<uid>`` or of a recently shown screen name."""
    if name.startswith("用户") and exists(name[2:]):
        return name[2:]
    return _names.get(name)


def profile_json(uid: str, age: Age = NEW) -> bytes:
    """Return the profile of an existing user as JSON."""
    return _ENCODE(profile(uid, age)).encode()


def profile(uid: str, age: Age = NEW) -> dict[str, Any]:
    """Return the profile of an existing user, with the fields of ``users/show`` and some more."""
    data = uid.encode()
    # 32 random numbers of 32 bits.
    draws = _WORDS.unpack(
        hashlib.blake2b(data, person=b"weibo").digest()
        + hashlib.blake2b(data, person=b"weibo more").digest()
    )
    traps, odd = draws[0], draws[1]
    number = int(uid)
    kind = _TYPES[draws[2] % 1000]
    verified = 0 <= kind <= 7
    place = PLACES[draws[3] % len(PLACES)]
    famous = verified or (kind >= 200 and draws[6] % 4 == 0)
    first = _followers(draws[4], draws[5], famous=famous)
    followers = grown(first, draws[6] >> 8, age)
    friends = 0 if traps % 61 == 0 else _spread(draws[7], 20 if first < 1000 else 300)
    day = _day(draws[8])
    hours = 24 * (POSTS_UNTIL - day) + age.grown
    statuses = hours * _POSTS_A_DAY[draws[9] & 15] // 2400 + draws[10] % 20
    name = _name(uid, traps, draws)
    _remember(name, uid)
    province, city = place[0], place[1]
    as_text = odd & 3  # 0, 1: strings as documented; 2: numbers; 3: one of each
    trade = pick(words.TRADES, draws[11])
    gender = "mmmmmmmmmffffffffffn"[draws[12] % 20]
    image = f"https://img.weibo.example/{draws[13]:08x}"
    return {
        "id": number,
        "idstr": uid,
        "class": 1,
        "screen_name": name,
        "name": name,
        "province": province if as_text & 2 else str(province),
        "city": city if as_text == 2 else str(city),
        "location": place[2],
        "description": _description(traps >> 8, draws[14]),
        "url": f"http://blog.example.com/{uid}" if odd % 9 == 0 else "",
        "profile_image_url": f"{image}/50.jpg",
        "cover_image_phone": f"{image}/cover.jpg",
        "profile_url": f"u/{uid}",
        "domain": f"u{draws[13] % 100000}" if odd % 7 == 0 else "",
        "weihao": str(draws[13] % 10**9) if odd % 31 == 0 else "",
        "gender": gender,
        "followers_count": followers,
        "followers_count_str": _short(followers),
        "friends_count": friends,
        "pagefriends_count": draws[15] % 12,
        "statuses_count": statuses,
        "video_status_count": statuses // 50,
        "favourites_count": draws[15] % 300,
        "created_at": _moment(day, draws[16]),
        "following": False,
        "allow_all_act_msg": bool(odd & 64),
        "geo_enabled": bool(odd & 128),
        "verified": verified,
        "verified_type": kind,
        "remark": "",
        "insecurity": {"sexual_content": False},
        **(
            {}
            if statuses == 0 or traps % 29 == 0
            else {"status": _post(number, day, age.days, draws)}
        ),
        "ptype": 0,
        "allow_all_comment": bool(odd & 256),
        "avatar_large": f"{image}/180.jpg",
        "avatar_hd": f"{image}/1024.jpg",
        "verified_reason": words.REASONS[kind].format(trade) if verified else "",
        "verified_trade": trade if verified else "",
        "follow_me": False,
        "like": False,
        "online_status": int(odd & 1536 == 0),
        "bi_followers_count": min(followers, friends) * (draws[17] % 60) // 100,
        "lang": "zh-cn" if odd % 17 else "zh-tw",
        "star": 0,
        "mbtype": 12 if odd % 5 == 0 else 0,
        "mbrank": draws[17] % 8,
        "credit_score": 80,
        "user_ability": draws[18] % 4096,
        "urank": draws[18] % 48,
        "svip": int(odd % 40 == 0),
        "pagefocus": {"count": draws[18] % 5},
    }


def _day(draw: int) -> int:
    """Return the day of creation: few in 2009, most from 2010 to 2014."""
    share = draw & 0xFFFF
    index = bisect_right(_YEARS, share)
    low = _YEARS[index - 1] if index else 0
    first = max(FIRST_DAY, _NEW_YEARS[index])
    last = min(LAST_DAY + 1, _NEW_YEARS[index + 1])
    return first + (last - first) * (share - low) // (_YEARS[index] - low)


_NEW_YEARS = tuple(date(year, 1, 1).toordinal() for year in range(2009, 2028))


def _moment(day: int, draw: int) -> str:
    """Return a time of a day in Weibo's format and the time zone of China."""
    second = draw % 86_400
    when = date.fromordinal(day)
    return (
        f"{words.WEEKDAYS[(day + 6) % 7]} {words.MONTHS[when.month - 1]} {when.day:02d} "
        f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d} +0800 {when.year}"
    )


def _followers(draw: int, fine: int, *, famous: bool) -> int:
    if fine % 3000 == 0:  # celebrities: 20 to 100 million
        return 20_000_000 + draw % 80_000_001
    shares = _FAMOUS if famous else _PLAIN
    share = draw & 0xFFFF
    index = bisect_right(shares, share)
    if index <= 1:
        return index
    low = 1 << (index - 2)
    return low + 1 + (low * (fine >> 8) >> 24)


def grown(followers: int, draw: int, age: Age) -> int:
    """Return the followers at an age: -0.2 to +0.6 % per day."""
    change = followers * (draw % 81 - 20) * age.grown // 240_000
    return max(0, min(MOST_FOLLOWERS, followers + change))


def _spread(draw: int, base: int) -> int:
    """Return 1 to 20,000 (Weibo's limit); each doubling is about half as likely."""
    doublings = 10 - min(10, (draw & 0x3FF).bit_length())
    return min(20_000, 1 + (base << doublings) * ((draw >> 10) & 0xFFFF) // 32_768)


def _name(uid: str, traps: int, draws: tuple[int, ...]) -> str:
    if (traps >> 20) % 41 == 0:
        return pick(words.NAME_TRAPS, draws[19])
    style = draws[20] % 10
    if style == 0:
        return f"用户{uid}"
    if style < 5:
        base = pick(words.SURNAMES, draws[21]) + pick(words.GIVEN, draws[23])
        if draws[22] & 7:
            base += pick(words.GIVEN, draws[22])
    else:
        base = pick(words.NICKS, draws[21])
    if draws[24] % 3 == 0:
        base += pick(words.SUFFIXES, draws[25])
    if draws[24] % 5 == 0:
        base += str(draws[26] % 10_000)
    if draws[24] % 13 == 0:
        base += pick(words.EMOJI, draws[25])
    return base


def _description(traps: int, draw: int) -> str:
    if traps % 4 == 0:
        return ""
    if traps % 37 == 0:
        return pick(words.DESCRIPTION_TRAPS, draw)
    opening, middle = pick(words.OPENINGS, draw), pick(words.MIDDLES, draw >> 8)
    return opening + middle + pick(words.ENDINGS, draw >> 16)


def _short(count: int) -> str:
    """Format a count as Weibo does: 1.2万, 3.4亿."""
    if count >= 10**8:
        return f"{count // 10**7 / 10}亿"
    if count >= 10**4:
        return f"{count // 10**3 / 10}万"
    return str(count)


def _post(uid: int, day: int, today: int, draws: tuple[int, ...]) -> dict[str, Any]:
    """Return the last post: after the creation of the account, mostly recent."""
    age = POSTS_UNTIL + today - day
    ago = age * (draws[27] & 0xFF) * (draws[28] & 0xFF) * (draws[29] & 0xFF) >> 24
    identity = 4_000_000_000_000_000 + uid * 100_000 + draws[27] % 100_000
    client = pick(words.CLIENTS, draws[30])
    return {
        "created_at": _moment(POSTS_UNTIL + today - min(ago, age - 1), draws[28]),
        "id": identity,
        "mid": str(identity),
        "idstr": str(identity),
        "text": pick(words.TOPICS, draws[29]) + pick(words.POSTS, draws[30] // 7),
        "source": f'<a href="http://app.weibo.example/t/feed" rel="nofollow">{client}</a>',
        "favorited": False,
        "truncated": False,
        "geo": None,
        "reposts_count": _spread(draws[31], 2) - 1,
        "comments_count": _spread(draws[31] >> 3, 3) - 1,
        "attitudes_count": _spread(draws[31] >> 5, 8) - 1,
    }


def _remember(name: str, uid: str) -> None:
    _names[name] = uid
    if len(_names) > _NAMES_KEPT:
        del _names[next(iter(_names))]
