"""Daily prices and volume of one symbol, and a choice of symbols."""

from __future__ import annotations

from typing import Any

from fanfold import Chart
from pipelines._chart_parts import nominal, quantity, tooltip

BARS = 120
"""Trading days of the candlesticks."""
CHOICE = 30
"""Symbols of the candlesticks, by turnover: with 120 days each, fewer rows than a chart may have."""
_LINE = "(windowSize()[0] < 700 ? 4 : 10)"
"""Symbols in a line of the choice: fewer on a phone."""
SYMBOL = nominal("symbol", "Symbol", "代码")


def rising(test: str) -> dict[str, Any]:
    """Return a colour by whether prices rise: green if so in English, red in Chinese, as is usual there."""
    return {
        "condition": {"test": test, "value": ("var(--c3)", "var(--c7)")},
        "value": ("var(--c7)", "var(--c3)"),
    }


def moved(change: str) -> str:
    """Return SQL of the texts ``moved_en`` and ``moved_zh``: up or down by a share."""
    return f"""
        if({change} < 0, 'down ', 'up ') || format('{{:.1f}}%', 100 * abs({change})) AS moved_en,
        if({change} < 0, '跌 ', '涨 ') || format('{{:.1f}}%', 100 * abs({change})) AS moved_zh"""


_VOLUME = quantity("volume", "Volume (shares)", "成交量（股）")

_BAR_DAY: dict[str, Any] = {
    "field": "day",
    "type": "ordinal",
    "title": ("Day", "日期"),
    "axis": {"title": None, "labelAngle": 0, "labelOverlap": "greedy", "labelSeparation": 24},
}
_BAR = {
    "x": _BAR_DAY,
    "color": rising("datum.close >= datum.open"),
    "tooltip": tooltip(
        SYMBOL,
        _BAR_DAY,
        quantity("open", "Open", "开盘", format=",.2f"),
        quantity("high", "High", "最高", format=",.2f"),
        quantity("low", "Low", "最低", format=",.2f"),
        quantity("close", "Close", "收盘", format=",.2f"),
        quantity("daily_return", "Change", "涨跌幅", format="+.2%"),
        _VOLUME,
    ),
}
_HOVER = {
    "mark": {"type": "bar", "fillOpacity": 0, "width": {"band": 1}},
    "encoding": {"x": _BAR_DAY, "y": {"value": 0}, "y2": {"value": "height"}, "tooltip": _BAR["tooltip"]},
}
"""The tooltip of a day wherever the mouse is above it."""
_Y_AXIS = {"minExtent": 48, "maxExtent": 48}
_IS_CHOSEN = {"param": "chosen", "empty": False}
_CHOSEN = [{"filter": _IS_CHOSEN}]
_PRICE = ("Price, adjusted", "复权价")


def _if_chosen(colour: str, other: str) -> dict[str, Any]:
    return {"condition": {**_IS_CHOSEN, "value": colour}, "value": other}


_AVERAGES = {
    "mark": {"type": "line", "strokeWidth": 1.5, "tooltip": None},
    "transform": [{"fold": ["ma_20", "ma_60"], "as": ["average", "price"]}],
    "encoding": {
        "x": _BAR_DAY,
        "y": quantity("price", *_PRICE),
        "color": {
            "field": "average",
            "type": "nominal",
            "scale": {"domain": ["ma_20", "ma_60"], "range": ["var(--c2)", "var(--c5)"]},
            "legend": {
                "title": None,
                "labelExpr": (
                    "slice(datum.label, 3) + '-day average'",
                    "slice(datum.label, 3) + ' 日均线'",
                ),
            },
        },
    },
}

CANDLESTICKS = Chart(
    ("Daily prices and volume; click a symbol", "每日行情与成交量（点击代码切换）"),
    sql=f"""
        WITH bars AS (
            SELECT turnover_rank, symbol, trade_date, open * adjustment AS open,
                   high * adjustment AS high, low * adjustment AS low, close * adjustment AS close,
                   dataset.volume, daily_return, ma_20, ma_60,
                   row_number() OVER (PARTITION BY symbol ORDER BY trade_date DESC) AS age
            FROM dataset JOIN daily_returns USING (symbol, trade_date)
            JOIN symbol_statistics USING (symbol) WHERE turnover_rank <= {CHOICE}
        ), shown AS (
            SELECT *, dense_rank() OVER (ORDER BY turnover_rank, symbol) AS place
            FROM bars WHERE age <= {BARS}
        )
        SELECT place, symbol, trade_date AS day, round(open, 4) AS open, round(high, 4) AS high,
               round(low, 4) AS low, round(close, 4) AS close, volume,
               round(daily_return, 6) AS daily_return, round(ma_20, 4) AS ma_20,
               round(ma_60, 4) AS ma_60, age = 1 AS is_last
        FROM shown WHERE place <= {CHOICE} ORDER BY place, day""",
    spec={
        "spacing": 14,
        "resolve": {"scale": {"color": "independent"}},
        "vconcat": [
            {
                "height": {"step": 26},
                "transform": [
                    {"filter": "datum.is_last"},
                    {"calculate": f"floor((datum.place - 1) / {_LINE})", "as": "line"},
                    {"calculate": f"(datum.place - 1) % {_LINE}", "as": "column"},
                ],
                "encoding": {
                    "x": {"field": "column", "type": "ordinal", "axis": None},
                    "y": {"field": "line", "type": "ordinal", "axis": None},
                },
                "layer": [
                    {
                        "mark": {
                            "type": "rect",
                            "cornerRadius": 5,
                            "tooltip": None,
                            "width": {"band": 0.94},
                            "height": {"band": 0.86},
                            "cursor": "pointer",
                        },
                        "params": [
                            {
                                "name": "chosen",
                                "value": [{"place": 1}],
                                "select": {
                                    "type": "point",
                                    "fields": ["place"],
                                    "toggle": False,
                                    "clear": False,
                                },
                            }
                        ],
                        "encoding": {
                            "color": _if_chosen("var(--main)", "var(--grid)"),
                        },
                    },
                    {
                        "mark": {"type": "text", "tooltip": None, "fontSize": 11},
                        "encoding": {
                            "text": {"field": "symbol"},
                            "color": _if_chosen("var(--card)", "var(--ink)"),
                        },
                    },
                ],
            },
            {
                "height": 300,
                "transform": _CHOSEN,
                "layer": [
                    _HOVER,
                    {
                        "mark": "rule",
                        "encoding": {
                            **_BAR,
                            "x": {**_BAR_DAY, "axis": {"labels": False, "title": None}},
                            "y": quantity("low", *_PRICE, scale={"zero": False}, axis=_Y_AXIS),
                            "y2": {"field": "high"},
                        },
                    },
                    {
                        "mark": {"type": "bar", "width": {"band": 0.7}, "minBandSize": 1},
                        "encoding": {
                            **_BAR,
                            "y": quantity("open", *_PRICE),
                            "y2": {"field": "close"},
                        },
                    },
                    _AVERAGES,
                ],
            },
            {
                "height": 90,
                "transform": _CHOSEN,
                "mark": {"type": "bar", "opacity": 0.7, "width": {"band": 0.7}},
                "encoding": {**_BAR, "y": {**_VOLUME, "axis": {**_Y_AXIS, "tickCount": 3}}},
            },
        ],
    },
    finding=(
        "{symbol} has the largest turnover; last close {close}, {moved_en} in {bars} trading days.",
        "{symbol} 成交额最大，最新收盘价 {close}，{bars} 个交易日内{moved_zh}。",
    ),
    values=f"""
        WITH bars AS (
            SELECT symbol, trade_date, close_adjusted, dataset.close,
                   row_number() OVER (ORDER BY trade_date DESC) AS age
            FROM daily_returns JOIN dataset USING (symbol, trade_date)
            JOIN (SELECT symbol FROM symbol_statistics ORDER BY turnover_rank, symbol LIMIT 1)
                USING (symbol)
        ), change AS (
            SELECT any_value(symbol) AS symbol, any_value(close) FILTER (age = 1) AS close,
                   count(*) FILTER (age <= {BARS}) AS bars,
                   arg_min(close_adjusted, age)
                       / arg_max(close_adjusted, age) FILTER (age <= {BARS}) - 1 AS change
            FROM bars
        )
        SELECT symbol, format('{{:.2f}}', close) AS close, bars, {moved("change")} FROM change""",
)
