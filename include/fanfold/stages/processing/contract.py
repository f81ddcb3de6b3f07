"""The contract of user profiles: pandera schema, Arrow schema and derived columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
from pandera import pandas as pandera

from fanfold.sources.rows import Problem, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

VERIFIED_TYPES = (
    "none", "person", "government", "company", "media", "school", "website", "application",
    "organisation", "talent", "deceased", "other",
)  # fmt: skip
GENDERS = ("m", "f", "n")

_EARLIEST = pd.Timestamp("2006-01-01", tz="UTC")  # before any of the networks existed
_UTC = pd.DatetimeTZDtype("us", "UTC")
_NAME = pandera.Check.str_length(max_value=200)
_LONG = pandera.Check.str_length(max_value=20_000)
_COUNT = pandera.Check.in_range(0, 10**12)
_TIME = pandera.Check.ge(_EARLIEST)
_RATE = pandera.Check.ge(0.0)


def _text(*checks: pandera.Check, nullable: bool = True) -> pandera.Column:
    return pandera.Column("str", list(checks), nullable=nullable)


def _count(*, nullable: bool = False) -> pandera.Column:
    return pandera.Column("Int64", _COUNT, nullable=nullable)


CONTRACT = pandera.DataFrameSchema(
    {
        "source": _text(pandera.Check.str_matches(r"^[a-z_]+$"), nullable=False),
        "user_id": _text(pandera.Check.str_length(1, 64), nullable=False),
        "screen_name": _text(_NAME, nullable=False),
        "name": _text(_NAME),
        "description": _text(_LONG),
        "location": _text(_NAME),
        "region": _text(_NAME),
        "gender": _text(pandera.Check.isin(GENDERS)),
        "url": _text(_LONG),
        "profile_url": _text(_LONG),
        "avatar_url": _text(_LONG),
        "verified": pandera.Column("bool"),
        "verified_type": _text(pandera.Check.isin(VERIFIED_TYPES)),
        "verified_reason": _text(_LONG),
        "followers_count": _count(),
        "friends_count": _count(),
        "statuses_count": _count(),
        "favourites_count": _count(nullable=True),
        "mutual_followers_count": _count(nullable=True),
        "created_at": pandera.Column(_UTC, _TIME),
        "last_status_at": pandera.Column(_UTC, _TIME, nullable=True),
        "followers_to_friends": pandera.Column("float64", _RATE, nullable=True),
        "account_age_days": pandera.Column("Int64", _RATE, nullable=True),
        "statuses_per_day": pandera.Column("float64", _RATE, nullable=True),
        "as_of": pandera.Column(_UTC),
    },
    strict=True,
    ordered=True,
    name="user_profiles",
)

_CATEGORY = pa.dictionary(pa.int8(), pa.string())
_ARROW = {"Int64": pa.int64(), "bool": pa.bool_(), "float64": pa.float64()}
_CATEGORIES = {"gender": GENDERS, "verified_type": VERIFIED_TYPES}


def _field(name: str, column: Any) -> pa.Field:
    if name in _CATEGORIES:
        kind = _CATEGORY
    elif isinstance(column.dtype.type, pd.DatetimeTZDtype):
        kind = pa.timestamp("us", "UTC")
    else:
        kind = _ARROW.get(str(column.dtype), pa.string())
    return pa.field(name, kind, nullable=column.nullable)


SCHEMA = pa.schema([_field(name, column) for name, column in CONTRACT.columns.items()])
"""The contract as an Arrow schema."""

DERIVED = ("followers_to_friends", "account_age_days", "statuses_per_day", "as_of")


def derive(frame: pd.DataFrame, as_of: pd.Timestamp) -> pd.DataFrame:
    """Add the derived columns as of the logical date, and null columns the source does not have.

    ``followers_to_friends`` is null without friends; ``account_age_days`` is in whole days, at
    least 0, and counts as at least 1 in ``statuses_per_day``.
    """
    rows = frame.copy()
    for name, column in CONTRACT.columns.items():
        if name not in rows and name not in DERIVED:
            rows[name] = pd.Series(None, index=rows.index, dtype=str(column.dtype))
    friends = rows["friends_count"].astype("Float64")
    ratio = rows["followers_count"].astype("Float64") / friends.where(friends > 0)
    rows["followers_to_friends"] = ratio.astype("float64")
    age = (as_of - rows["created_at"]).dt.days.astype("Int64").clip(lower=0)
    rows["account_age_days"] = age
    days = age.clip(lower=1).astype("Float64")
    rows["statuses_per_day"] = (rows["statuses_count"].astype("Float64") / days).astype("float64")
    rows["as_of"] = pd.Series(as_of, index=rows.index, dtype=_UTC)
    return rows[list(CONTRACT.columns)]


def problems(rows: pd.DataFrame) -> Iterator[Problem]:
    """Yield the contract violations of the rows; ``Problem.row`` is the index label.

    Raises:
        SchemaErrors: Wrong columns: a bug in the source's transform.
    """
    try:
        CONTRACT.validate(rows, lazy=True)
    except pandera.errors.SchemaErrors as error:
        cases = error.failure_cases
        if cases["index"].isna().any():
            raise
        for case in cases.to_dict("records"):
            value = case["failure_case"]
            yield Problem(
                row=int(case["index"]),
                column=str(case["column"]),
                value="null" if pd.isna(value) else shown(value),
                rule=str(case["check"]),
            )
