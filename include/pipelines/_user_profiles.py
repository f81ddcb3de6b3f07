"""What the pipelines of user profiles share: the contract and the derived columns."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pandas as pd
import pandera.pandas as pa

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

VERIFIED_TYPES = {
    "none": ("Not verified", "未认证"),
    "person": ("Person", "个人"),
    "government": ("Government", "政府"),
    "company": ("Company", "企业"),
    "media": ("Media", "媒体"),
    "school": ("School", "校园"),
    "website": ("Website", "网站"),
    "application": ("Application", "应用"),
    "organisation": ("Organisation", "机构团体"),
    "talent": ("Talent", "达人"),
    "deceased": ("Deceased", "已故"),
    "other": ("Other type", "其他类型"),
}
"""English and Chinese name by value of the column ``verified_type``."""
REGIONS = {
    "北京": "Beijing", "天津": "Tianjin", "河北": "Hebei", "山西": "Shanxi",
    "内蒙古": "Inner Mongolia", "辽宁": "Liaoning", "吉林": "Jilin", "黑龙江": "Heilongjiang",
    "上海": "Shanghai", "江苏": "Jiangsu", "浙江": "Zhejiang", "安徽": "Anhui", "福建": "Fujian",
    "江西": "Jiangxi", "山东": "Shandong", "河南": "Henan", "湖北": "Hubei", "湖南": "Hunan",
    "广东": "Guangdong", "广西": "Guangxi", "海南": "Hainan", "重庆": "Chongqing",
    "四川": "Sichuan", "贵州": "Guizhou", "云南": "Yunnan", "西藏": "Tibet", "陕西": "Shaanxi",
    "甘肃": "Gansu", "青海": "Qinghai", "宁夏": "Ningxia", "新疆": "Xinjiang", "台湾": "Taiwan",
    "香港": "Hong Kong", "澳门": "Macao", "其他": "Other", "海外": "Overseas",
}  # fmt: skip
"""English name by value of the column ``region``."""

_UTC = {"unit": "us", "tz": "UTC"}


def _text() -> Any:
    return pa.Field(nullable=True)


def _count() -> Any:
    return pa.Field(nullable=True, in_range={"min_value": 0, "max_value": 10**12})


def _time() -> Any:
    return pa.Field(nullable=True, dtype_kwargs=_UTC, ge=pd.Timestamp(0, tz="UTC"))


def _category(values: list[str]) -> Any:
    return pa.Field(nullable=True, dtype_kwargs={"categories": values, "ordered": False})


class UserProfile(pa.DataFrameModel):
    """One user of one network, as a server shows them: a null is what the server does not say.

    ``server`` is the one that was asked: each gives its own ``user_id`` to an account. Networks have many
    kinds of servers: texts have the length and times the range that these permit.
    """

    source: str = pa.Field(str_matches=r"^[a-z_]+$")
    server: str = pa.Field(str_length={"min_value": 1})
    user_id: str = pa.Field(str_length={"min_value": 1, "max_value": 200})
    screen_name: str = pa.Field(str_length={"min_value": 1})
    name: str = _text()
    description: str = _text()
    location: str = _text()
    region: str = pa.Field(nullable=True, isin=list(REGIONS))
    gender: pd.CategoricalDtype = _category(["m", "f", "n"])
    url: str = _text()
    profile_url: str = _text()
    avatar_url: str = _text()
    verified: bool
    verified_type: pd.CategoricalDtype = _category(list(VERIFIED_TYPES))
    verified_reason: str = _text()
    followers_count: pd.Int64Dtype = _count()
    friends_count: pd.Int64Dtype = _count()
    statuses_count: pd.Int64Dtype = _count()
    favourites_count: pd.Int64Dtype = _count()
    mutual_followers_count: pd.Int64Dtype = _count()
    created_at: pd.DatetimeTZDtype = _time()
    last_status_at: pd.DatetimeTZDtype = _time()
    followers_to_friends: float = pa.Field(ge=0, nullable=True)
    account_age_days: pd.Int64Dtype = pa.Field(ge=0, nullable=True)
    statuses_per_day: float = pa.Field(ge=0, nullable=True)


KEY = ("source", "server", "user_id")


def fields(records: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    """Return columns from fields of the records; ``a.b`` is the field ``b`` of the object ``a``.

    Texts lose NUL and surrounding space, and are null if nothing is left; other values stay as they
    are.
    """
    return pd.DataFrame(
        {column: _field(records, name) for column, name in names.items()}, index=records.index
    )


def _field(records: pd.DataFrame, name: str) -> pd.Series:
    name, _, inner = name.partition(".")
    if name not in records:
        return pd.Series(None, index=records.index, dtype=object)

    def value(found: Any) -> Any:
        if inner:
            found = found.get(inner) if isinstance(found, dict) else None
        return found.replace("\0", "").strip() or None if isinstance(found, str) else found

    return mapped(records[name], value)


def mapped(values: pd.Series, function: Callable[[Any], Any]) -> pd.Series:
    """Return the results of a function of each value as they are.

    ``Series.map`` would infer a type: beside one 1.5 or None, all integers would become floats.
    """
    return pd.Series([function(value) for value in values], index=values.index, dtype=object)


def moment(values: pd.Series, parse: Callable[[str], datetime | None]) -> pd.Series:
    """Return parsed times; what ``parse`` cannot read stays as it is, and breaks the contract."""

    def parsed(value: Any) -> Any:
        if not isinstance(value, str) or len(value) > 64:
            return value
        try:
            return parse(value)
        except (ValueError, OverflowError):
            return value

    return mapped(values, parsed).infer_objects()


def code(values: pd.Series, names: Mapping[int, str], *, other: str | None = None) -> pd.Series:
    """Return the names of codes (numbers or their digits); what is no code stays as it is."""

    def named(value: Any) -> Any:
        is_code = _CODE.fullmatch(value) if isinstance(value, str) else type(value) is int
        return names.get(int(value), other) if is_code else value

    return mapped(values, named)


_CODE = re.compile(r"-?[0-9]{1,9}")


def derived(rows: pd.DataFrame, as_of: datetime) -> pd.DataFrame:
    """Add the derived columns as of the logical date.

    They are null where a column that they need is. ``followers_to_friends`` is null without friends;
    ``account_age_days`` is in whole days, at least 0, and counts as at least 1 in ``statuses_per_day``.
    """
    followers, friends, statuses = (
        pd.to_numeric(rows[name], errors="coerce")
        for name in ("followers_count", "friends_count", "statuses_count")
    )
    created = pd.to_datetime(rows["created_at"], errors="coerce", utc=True)
    age = (pd.Timestamp(as_of) - created).dt.days.astype("Int64").clip(lower=0)
    return rows.assign(
        followers_to_friends=followers / friends.where(friends > 0),
        account_age_days=age,
        statuses_per_day=statuses / age.clip(lower=1).astype("float64"),
    )
