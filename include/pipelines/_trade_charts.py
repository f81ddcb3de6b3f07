"""Charts of the trade statistics. Prices are adjusted; where symbols are chosen, it is by turnover or return."""

from __future__ import annotations

from typing import Any

from fanfold import Chart
from pipelines._candlesticks import CANDLESTICKS, SYMBOL, moved, rising
from pipelines._chart_parts import BESIDE, LABEL, NO_TITLE, bars, nominal, quantity

_ZERO = {
    "mark": {"type": "rule", "color": "var(--muted)", "tooltip": None},
    "encoding": {"y": {"datum": 0}},
}
_RETURN_AXIS = {"format": "+.0%", "tickCount": 8}
_PERCENT: dict[str, Any] = {"format": ".1%"}

YEAR = """
    WITH last AS (
        SELECT max(trade_date) AS last_day, greatest(last_day - INTERVAL 12 MONTH, min(trade_date)) AS start
        FROM daily_returns
    ), bases AS (
        SELECT symbol, coalesce(
                   arg_max(close_adjusted, trade_date) FILTER (trade_date <= start),
                   arg_min(close_adjusted, trade_date) FILTER (trade_date <= start + INTERVAL 7 DAY)
               ) AS base,
               arg_max(close_adjusted, trade_date) / base - 1 AS year_return
        FROM daily_returns JOIN symbol_statistics USING (symbol), last
        WHERE turnover_rank <= 60 GROUP BY symbol HAVING base IS NOT NULL
    ), ranked AS (
        SELECT *, row_number() OVER (ORDER BY year_return DESC, symbol) AS best,
               row_number() OVER (ORDER BY year_return, symbol DESC) AS worst
        FROM bases
    )"""
"""Returns of the last 12 months, or since the first bar, of the 60 symbols with the largest turnover that
have bars from the beginning on."""


_DAY = {"field": "day", "type": "temporal", "title": ("Day", "日期")}
RETURNS = Chart(
    ("Cumulative returns, 12 months", "近 12 个月累计收益率"),
    sql=f"""
        {YEAR}
        SELECT symbol, if(least(best, worst) <= 3, symbol, NULL) AS shown,
               max(trade_date) AS day,
               round(arg_max(close_adjusted, trade_date) / any_value(base) - 1, 6) AS year_return
        FROM daily_returns JOIN ranked USING (symbol), last
        WHERE trade_date >= start
        GROUP BY symbol, best, worst, date_trunc('week', trade_date) ORDER BY best, day""",
    spec={
        "encoding": {
            "x": {**_DAY, **NO_TITLE},
            "y": quantity("year_return", "Return", "收益率", axis={"format": "+.0%"}),
        },
        "layer": [
            _ZERO,
            {
                "mark": {
                    "type": "line",
                    "strokeWidth": 1,
                    "color": "var(--muted)",
                    "tooltip": None,
                },
                "transform": [{"filter": "!datum.shown"}],
                "encoding": {"detail": {"field": "symbol"}, "opacity": {"value": 0.4}},
            },
            {
                "mark": "line",
                "transform": [{"filter": "datum.shown"}],
                "encoding": {
                    "color": nominal(
                        "shown", "Symbol", "代码", sort=None, legend={"title": None, "columns": 3}
                    ),
                    "tooltip": [
                        SYMBOL,
                        _DAY,
                        quantity("year_return", "Return", "收益率", format="+.1%"),
                    ],
                },
            },
        ],
    },
    finding=(
        "{n} symbols: {up} rose and {down} fell; the median is {moved_en}. In colour: the best and the worst three.",
        "{n} 只证券中 {up} 只上涨，{down} 只下跌，中位数{moved_zh}。彩色：涨幅最大和最小的各三只。",
    ),
    values=f"""
        {YEAR}
        SELECT count(*) AS n, count(*) FILTER (year_return > 0) AS up,
               count(*) FILTER (year_return < 0) AS down, {moved("median(year_return)")}
        FROM ranked""",
)
RANKING = Chart(
    ("Best and worst, 12 months", "近 12 个月涨跌幅排名"),
    sql=f"""
        {YEAR}
        SELECT best AS place, symbol, year_return, annualised_volatility, turnover,
               greatest(year_return, 0) AS label_at
        FROM ranked JOIN symbol_statistics USING (symbol)
        WHERE least(best, worst) <= 6 ORDER BY place""",
    spec={
        "transform": [{"calculate": "format(datum.year_return, '+.1%')", "as": "label"}],
        "encoding": {"y": {**SYMBOL, "sort": None, **NO_TITLE}},
        "layer": [
            {
                "mark": "bar",
                "encoding": {
                    "x": quantity("year_return", "Return", "收益率", axis=None),
                    "color": rising("datum.year_return >= 0"),
                    "tooltip": [
                        quantity("place", "Rank", "排名"),
                        SYMBOL,
                        quantity("year_return", "Return", "收益率", format="+.1%"),
                        quantity(
                            "annualised_volatility",
                            "Annualised volatility",
                            "年化波动率",
                            **_PERCENT,
                        ),
                        quantity("turnover", "Turnover, all time", "总成交额"),
                    ],
                },
            },
            {
                "mark": BESIDE,
                "encoding": {
                    "x": quantity("label_at", "Return", "收益率"),
                    "text": LABEL,
                },
            },
        ],
    },
    finding=(
        "{first} is {first_en}, {last} is {last_en}.",
        "{first} {first_zh}，{last} {last_zh}。",
    ),
    values=f"""
        {YEAR}, texts AS (SELECT symbol, best, worst, {moved("year_return")} FROM ranked)
        SELECT one.symbol AS first, one.moved_en AS first_en, one.moved_zh AS first_zh,
               two.symbol AS last, two.moved_en AS last_en, two.moved_zh AS last_zh
        FROM texts AS one, texts AS two WHERE one.best = 1 AND two.worst = 1 AND two.best > 1""",
)
DEEPEST = """
    WITH deepest AS (
        SELECT symbol, max_drawdown, peak_date, trough_date,
               row_number() OVER (ORDER BY max_drawdown, symbol) AS place
        FROM symbol_statistics WHERE max_drawdown < 0 QUALIFY place <= 3
    )"""
DRAWDOWN = Chart(
    ("The three deepest drawdowns", "回撤最深的三只"),
    sql=f"""
        {DEEPEST}, step AS (
            SELECT if(max(trade_date) - min(trade_date) > 1500, 'month', 'week') AS step
            FROM daily_returns
        )
        SELECT symbol, min(trade_date) AS day, min(drawdown) AS drawdown
        FROM daily_returns JOIN deepest USING (symbol), step
        GROUP BY symbol, place, date_trunc(step, trade_date) ORDER BY place, day""",
    spec={
        "mark": {"type": "line", "strokeWidth": 1.5},
        "encoding": {
            "x": {**_DAY, **NO_TITLE},
            "y": quantity(
                "drawdown",
                "Below the highest close so far",
                "距此前最高收盘价",
                axis={"format": ".0%"},
            ),
            "color": {**SYMBOL, "sort": None, "legend": {"title": None}},
            "tooltip": [SYMBOL, _DAY, quantity("drawdown", "Drawdown", "回撤", **_PERCENT)],
        },
    },
    finding=(
        "{symbol} lost {loss:percent} from {peak} to {trough}, and is now {now:percent} below its highest close.",
        "{symbol} 从 {peak} 到 {trough} 下跌 {loss:percent}，目前较最高收盘价低 {now:percent}。",
    ),
    values=f"""
        {DEEPEST}
        SELECT symbol, -any_value(max_drawdown) AS loss, any_value(peak_date)::TEXT AS peak,
               any_value(trough_date)::TEXT AS trough, -arg_max(drawdown, trade_date) AS now
        FROM daily_returns JOIN deepest USING (symbol) WHERE place = 1 GROUP BY symbol""",
)
BINS = """
    WITH moments AS (
        SELECT avg(daily_return) AS mean, stddev_samp(daily_return) AS deviation, count(daily_return) AS n
        FROM daily_returns
    ), sizes AS (SELECT *, if(deviation < 0.01, 0.0025, 0.005) AS size FROM moments)"""
HISTOGRAM = Chart(
    ("Daily returns of all symbols", "全部证券日收益率分布"),
    # The outermost bins have all that is beyond them.
    sql=f"""
        {BINS}, bins AS (
            SELECT greatest(least(floor(daily_return / size), 24), -24)::INT AS bin, count(*) AS days
            FROM daily_returns, sizes WHERE daily_return IS NOT NULL GROUP BY ALL
        ), every AS (SELECT unnest(generate_series(-24, 24)) AS bin)
        SELECT bin * size AS low, (bin + 1) * size AS high, (bin + 0.5) * size AS middle,
               coalesce(days, 0) AS days, coalesce(days, 0) / n AS share,
               size / (deviation * sqrt(2 * pi()))
                   * exp(-pow(((bin + 0.5) * size - mean) / deviation, 2) / 2) AS normal
        FROM every LEFT JOIN bins USING (bin), sizes WHERE deviation > 0 ORDER BY bin""",
    spec={
        "encoding": {
            "y": quantity("share", "Share of days", "天数占比", axis={"format": "%"}),
        },
        "layer": [
            {
                "mark": {"type": "bar", "binSpacing": 1},
                "encoding": {
                    "x": quantity(
                        "low", "Daily return", "日收益率", bin="binned", axis=_RETURN_AXIS
                    ),
                    "x2": {"field": "high"},
                    "tooltip": [
                        quantity("low", "From", "从", format="+.2%"),
                        quantity("high", "To", "到", format="+.2%"),
                        quantity("days", "Days", "天数"),
                        quantity("share", "Share", "占比", format=".2%"),
                        quantity("normal", "Normal distribution", "正态分布", format=".2%"),
                    ],
                },
            },
            {
                "mark": {
                    "type": "line",
                    "color": "var(--c2)",
                    "interpolate": "monotone",
                    "tooltip": None,
                },
                "encoding": {
                    "x": quantity("middle", "Daily return", "日收益率", axis=_RETURN_AXIS),
                    "y": quantity("normal", "Share of days", "天数占比"),
                },
            },
        ],
    },
    finding=(
        "Half of the days are between {low} and {high}; {far:percent} are more than three standard deviations from the mean, against 0.3% of a normal distribution (line).",
        "一半的交易日在 {low} 与 {high} 之间；{far:percent} 偏离均值超过三个标准差，正态分布（线）为 0.3%。",
    ),
    values=f"""
        {BINS}
        SELECT format('{{:+.1f}}%', 100 * quantile_cont(daily_return, 0.25)) AS low,
               format('{{:+.1f}}%', 100 * quantile_cont(daily_return, 0.75)) AS high,
               count(*) FILTER (abs(daily_return - mean) > 3 * deviation) / count(*) AS far
        FROM daily_returns, sizes WHERE daily_return IS NOT NULL""",
)
PAIRS = """
    WITH places AS (
        SELECT symbol, avg(correlation) AS average
        FROM correlations JOIN symbol_statistics USING (symbol)
        WHERE symbol <> other AND correlation IS NOT NULL AND correlations.days >= 20 AND turnover_rank <= 15
        GROUP BY symbol
    ), pairs AS (
        SELECT one.symbol, other, correlation, days, one.average, two.average AS other_average
        FROM correlations JOIN places AS one USING (symbol) JOIN places AS two ON two.symbol = other
        WHERE correlations.symbol <> other AND correlation IS NOT NULL AND correlations.days >= 20
    )"""
"""Correlations of pairs with 20 days in common or more: of a few days, any is near 1 or -1."""
HEAT_MAP = Chart(
    (
        "Correlation of daily returns, 15 symbols with the largest turnover",
        "日收益率相关系数（成交额最大的 15 只）",
    ),
    sql=f"""
        {PAIRS}
        SELECT symbol, other, round(correlation, 4) AS correlation, days,
               dense_rank() OVER (ORDER BY average DESC, symbol) AS place,
               dense_rank() OVER (ORDER BY other_average DESC, other) AS other_place
        FROM pairs ORDER BY place, other_place""",
    spec={
        "height": {"step": 24},
        "encoding": {
            "x": nominal(
                "other",
                "Other",
                "另一只",
                sort={"field": "other_place"},
                axis={"title": None, "labelAngle": -60, "labelOverlap": False},
            ),
            "y": {**SYMBOL, "sort": {"field": "place"}, **NO_TITLE},
        },
        "layer": [
            {
                "mark": "rect",
                "encoding": {
                    "color": quantity(
                        "correlation",
                        "Correlation",
                        "相关系数",
                        scale={
                            "domain": [-1, 0, 1],
                            "range": ["var(--c2)", "var(--card)", "var(--c1)"],
                            "interpolate": "rgb",
                        },
                        legend=None,
                    ),
                    "tooltip": [
                        SYMBOL,
                        nominal("other", "Other", "另一只"),
                        quantity("correlation", "Correlation", "相关系数", format=".3f"),
                        quantity("days", "Days in common", "共同交易日"),
                    ],
                },
            },
            {
                "mark": {"type": "text", "fontSize": 10, "tooltip": None},
                "encoding": {
                    "text": {"field": "correlation", "format": ".2f", "formatType": "number"},
                    "color": {
                        "condition": {"test": "datum.correlation > 0.6", "value": "var(--card)"},
                        "value": "var(--ink)",
                    },
                },
            },
        ],
    },
    finding=(
        "Most alike: {symbol} and {other} ({correlation}). Least alike: {far} and {far_other} ({far_correlation}).",
        "最相似：{symbol} 与 {other}（{correlation}）；最不相似：{far} 与 {far_other}（{far_correlation}）。",
    ),
    values=f"""
        {PAIRS}
        SELECT arg_max(symbol, (correlation, symbol)) AS symbol,
               arg_max(other, (correlation, symbol)) AS other,
               format('{{:.2f}}', round(max(correlation), 2) + 0.0) AS correlation,
               arg_min(symbol, (correlation, symbol)) AS far,
               arg_min(other, (correlation, symbol)) AS far_other,
               format('{{:.2f}}', round(min(correlation), 2) + 0.0) AS far_correlation
        FROM pairs WHERE symbol < other""",
)
MISSING = Chart(
    ("Trading days without a bar", "缺少行情的交易日"),
    sql="""
        SELECT symbol, count(*) AS days, min(day) AS first_day, max(day) AS last_day
        FROM missing_days GROUP BY symbol ORDER BY days DESC, symbol LIMIT 12""",
    spec=bars(
        SYMBOL,
        quantity("days", "Days", "天数"),
        {"field": "days"},
        {"field": "first_day", "type": "temporal", "title": ("First", "最早")},
        {"field": "last_day", "type": "temporal", "title": ("Last", "最近")},
    ),
    finding=(
        "{days} days of {symbols} symbols have no bar although the exchange was open: trading was suspended, or data is missing.",
        "{symbols} 只证券共有 {days} 个交易日没有行情：停牌或数据缺失。",
    ),
    values="SELECT count(*) AS days, count(DISTINCT symbol) AS symbols FROM missing_days",
)

CHARTS = [CANDLESTICKS, RETURNS, RANKING, DRAWDOWN, HISTOGRAM, HEAT_MAP, MISSING]
