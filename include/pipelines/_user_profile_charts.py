"""Charts of user profiles."""

from __future__ import annotations

from typing import Any

from fanfold import Chart
from pipelines._chart_parts import LABEL, bars, nominal, quantity
from pipelines._user_profiles import REGIONS, VERIFIED_TYPES

_ACCOUNTS = quantity("accounts", "Accounts", "账号数")
_SHARE = quantity("share", "Share", "占比", format=".1%")
_WHOLE = {"axis": {"tickMinStep": 1}}
_DECADES = [float(f"1e{exponent}") for exponent in range(-6, 13)]


def _values(rows: list[tuple[str, ...]]) -> str:
    quoted = ("', '".join(text.replace("'", "''") for text in row) for row in rows)
    return ", ".join(f"('{row}')" for row in quoted)


def _distribution(
    column: str,
    edge: str,
    title: tuple[str, str],
    axis: tuple[str, str],
    finding: tuple[str, str],
) -> Chart:
    """Return a histogram on a log scale, three bins a decade, with lines at the quartiles.

    ``edge`` is the SQL of a readable number for the edge 10 ** {0} of a bin.
    """
    # Vega-Lite takes the end of a bin from the column of that name.
    low = quantity("low", "From", "自")
    high = quantity("low_end", "Below", "低于")
    quartiles = {
        "data": {"name": "values"},
        "transform": [
            {"fold": ["q1", "median", "q3"], "as": ["quartile", "value"]},
            {"filter": "datum.value > 0"},
        ],
        "encoding": {
            "x": {"field": "value", "type": "quantitative"},
            "strokeDash": {
                "field": "quartile",
                "scale": {"domain": ["q1", "median", "q3"], "range": [[3, 4], [1, 0], [3, 4]]},
                "legend": None,
            },
            "tooltip": [
                {"field": "quartile", "title": ("Quartile", "四分位数")},
                quantity("value", *title),
            ],
        },
        "mark": {"type": "rule", "strokeWidth": 1.5},
    }
    label = {
        "data": {"name": "values"},
        "transform": [{"filter": "datum.median > 0"}],
        "encoding": {
            "x": {"field": "median", "type": "quantitative"},
            "y": {"value": -4},
            "text": {"value": ("Median", "中位数")},
        },
        "mark": {"type": "text", "baseline": "bottom", "tooltip": None},
    }
    bars = {
        "encoding": {
            "x": {
                **low,
                "scale": {"type": "log"},
                "bin": "binned",
                "axis": {"title": axis, "grid": False, "values": _DECADES, "tickCount": 20},
            },
            "x2": {"field": "low_end"},
            "y": {**_ACCOUNTS, **_WHOLE},
            "tooltip": [low, high, _ACCOUNTS, _SHARE],
        },
        "mark": "bar",
    }
    return Chart(
        title,
        sql=f"""
            WITH bins AS (
                SELECT floor(3 * log10({column})) AS bin, count(*) AS accounts
                FROM dataset WHERE {column} > 0 GROUP BY bin
            )
            SELECT {edge.format("(bin / 3)")} AS low, {edge.format("((bin + 1) / 3)")} AS low_end,
                   accounts, accounts / (SELECT count({column}) FROM dataset) AS share
            FROM bins ORDER BY low""",
        spec={"layer": [bars, quartiles, label]},
        finding=finding,
        values=f"""
            SELECT median({column}) AS median, quantile_cont({column}, 0.25) AS q1,
                   quantile_cont({column}, 0.75) AS q3, max({column}) AS most,
                   count(*) FILTER ({column} = 0) AS zeros
            FROM dataset""",
    )


def _accounts(name: dict[str, Any]) -> dict[str, Any]:
    """Return horizontal bars of ``accounts``, with ``share``."""
    both = "format(datum.accounts, ',') + ' (' + format(datum.share, '.1%') + ')'"
    return {
        "transform": [{"calculate": both, "as": "label"}],
        **bars(name, _ACCOUNTS, LABEL, _SHARE),
    }


FOLLOWERS = _distribution(
    "followers_count",
    "ceil(10 ** {0})",
    ("Followers", "粉丝数"),
    ("Followers (log scale)", "粉丝数（对数坐标）"),
    (
        "Median account: {median} followers. A quarter has {q1} or fewer, a quarter {q3} or more; the most followed has {most:short}. Without followers: {zeros}.",
        "粉丝数的中位数为 {median}。四分之一的账号不多于 {q1}，四分之一不少于 {q3}；最多的有 {most:short}。没有粉丝：{zeros} 个。",
    ),
)
ACTIVITY = _distribution(
    "statuses_per_day",
    "round(10 ** {0}, 2 - floor({0})::INT)",
    ("Posts a day", "日均发帖"),
    (
        "Posts a day since creation (log scale)",
        "创建以来的日均发帖数（对数坐标）",
    ),
    (
        "Median account: {median} posts a day; the middle half has {q1} to {q3}. Never posted: {zeros}.",
        "日均发帖数的中位数为 {median}，中间一半的账号为 {q1} 至 {q3}。从未发帖：{zeros} 个。",
    ),
)
_YEAR = {
    "field": "year",
    "type": "ordinal",
    "title": ("Year in which the account was opened (UTC)", "账号创建的年份（UTC）"),
}
YEARS = Chart(
    ("Accounts by year of creation", "账号创建年份"),
    # The networks are younger than 2006; earlier times are what some servers show for accounts of others.
    sql="""
        WITH found AS (
            SELECT greatest(year(created_at), 2005) AS year, count(*) AS accounts
            FROM dataset WHERE created_at IS NOT NULL GROUP BY year
        ), years AS (
            SELECT unnest(generate_series(min(year), max(year))) AS year FROM found
        )
        SELECT if(year = 2005, '≤ 2005', year::VARCHAR) AS year, coalesce(accounts, 0) AS accounts,
               coalesce(accounts, 0) / sum(accounts) OVER () AS share
        FROM years LEFT JOIN found USING (year) ORDER BY year""",
    spec={
        "mark": "bar",
        "encoding": {
            "x": {**_YEAR, "axis": {"labelAngle": 0}},
            "y": {**_ACCOUNTS, **_WHOLE},
            "tooltip": [_YEAR, _ACCOUNTS, _SHARE],
        },
    },
    finding=(
        "Most frequent year: {year}, with {share:percent} of the accounts.",
        "{year} 年创建的账号最多，占 {share:percent}。",
    ),
    values="""
        SELECT if(year(created_at) < 2006, '≤ 2005', year(created_at)::VARCHAR) AS year,
               count(*) / sum(count(*)) OVER () AS share
        FROM dataset WHERE created_at IS NOT NULL
        GROUP BY 1 ORDER BY count(*) DESC, year LIMIT 1""",
)
VERIFIED = Chart(
    ("Verification", "认证情况"),
    # Mastodon has no types.
    sql=f"""
        WITH names (type, type_en, type_zh) AS (
            VALUES {_values([(key, *names) for key, names in VERIFIED_TYPES.items()])},
                   ('verified', 'Verified', '已认证')
        )
        SELECT type_en, type_zh, count(*) AS accounts,
               count(*) / sum(count(*)) OVER () AS share
        FROM dataset JOIN names
          ON type = coalesce(verified_type::VARCHAR, if(verified, 'verified', 'none'))
        GROUP BY ALL ORDER BY accounts DESC, type_en""",
    spec=_accounts(nominal(("type_en", "type_zh"), "Type", "类型")),
    finding=(
        "{share:percent} of the accounts are verified.",
        "{share:percent} 的账号已认证。",
    ),
    values="SELECT avg(verified::INT) AS share FROM dataset",
)
REGION = Chart(
    ("Most frequent regions", "账号最多的地区"),
    sql=f"""
        WITH names (region, english) AS (VALUES {_values(list(REGIONS.items()))})
        SELECT english AS region_en, region AS region_zh, count(*) AS accounts,
               count(*) / sum(count(*)) OVER () AS share
        FROM dataset JOIN names USING (region)
        GROUP BY ALL ORDER BY accounts DESC, region_zh LIMIT 20""",
    spec=_accounts(nominal(("region_en", "region_zh"), "Region", "地区")),
    finding=(
        "{region_en} has {share:percent} of the accounts that state a region.",
        "填写了地区的账号中，{region_zh}占 {share:percent}。",
    ),
)
RECENCY = Chart(
    ("Last post", "最近一次发帖"),
    sql="""
        WITH bands (position, band_en, band_zh) AS (VALUES
            (0, 'Under a day ago', '不到 1 天'), (1, '1 to 6 days', '1 至 6 天'),
            (2, '7 to 29 days', '7 至 29 天'), (3, '30 to 89 days', '30 至 89 天'),
            (4, '90 to 364 days', '90 至 364 天'), (5, '365 days or more', '365 天及以上'),
            (6, 'No post shown', '无记录')
        ), posts AS (
            SELECT CASE WHEN age < 1 THEN 0 WHEN age < 7 THEN 1 WHEN age < 30 THEN 2
                        WHEN age < 90 THEN 3 WHEN age < 365 THEN 4 WHEN age >= 365 THEN 5
                        ELSE 6 END AS position, count(*) AS accounts
            FROM (SELECT date_diff('second', last_status_at, as_of) / 86400 AS age FROM dataset)
            GROUP BY position
        )
        SELECT band_en, band_zh, coalesce(accounts, 0) AS accounts,
               coalesce(accounts, 0) / sum(accounts) OVER () AS share
        FROM bands LEFT JOIN posts USING (position)
        WHERE EXISTS (FROM dataset) ORDER BY position""",
    spec=_accounts(nominal(("band_en", "band_zh"), "Last post", "最近一次发帖")),
    finding=(
        "{share:percent} of the accounts posted in the last 30 days.",
        "{share:percent} 的账号在最近 30 天内发过帖。",
    ),
    values="""
        SELECT avg(coalesce(last_status_at > as_of - INTERVAL 30 DAY, false)::INT) AS share
        FROM dataset""",
)
_FOLLOWERS = quantity("followers", "Followers", "粉丝数")
TOP = Chart(
    ("Most followed accounts", "粉丝最多的账号"),
    sql="""
        WITH top AS (
            SELECT coalesce(name, screen_name) AS account, user_id, followers_count AS followers
            FROM dataset WHERE followers_count IS NOT NULL ORDER BY followers DESC, user_id LIMIT 20
        )
        SELECT if(count(*) OVER (PARTITION BY account) > 1, account || ' ' || user_id, account)
               AS account, user_id, followers
        FROM top ORDER BY followers DESC, user_id""",
    spec=bars(
        nominal("account", "Account", "账号"),
        _FOLLOWERS,
        _FOLLOWERS,
        nominal("user_id", "User id", "用户 ID"),
    ),
    finding=(
        "{account} leads; the first {n} have {share:percent} of all followers.",
        "居首的是 {account}。前 {n} 名占全部粉丝的 {share:percent}。",
    ),
    values="""
        SELECT count(*) AS n, sum(followers_count) / nullif(any_value(total), 0) AS share,
               first(coalesce(name, screen_name) ORDER BY followers_count DESC, user_id) AS account
        FROM (SELECT *, sum(followers_count) OVER () AS total FROM dataset
              WHERE followers_count IS NOT NULL ORDER BY followers_count DESC, user_id LIMIT 20)""",
)
