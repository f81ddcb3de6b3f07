"""Charts of order analysis: what a shop's owner looks at in the morning.

Amounts of different currencies never share an axis or a sum: a chart has a panel for each currency, or shows
the main one, which has the most orders. Days are counted back from the last whole one with orders.
"""

from __future__ import annotations

from typing import Any

from fanfold import Chart
from pipelines._chart_parts import LABEL, NO_TITLE, bars, nominal, quantity

MAIN = """
    WITH main AS (
        SELECT currency FROM revenue_by_day GROUP BY ALL ORDER BY sum(orders) DESC, currency LIMIT 1
    ), last AS (
        SELECT coalesce(max(day) FILTER (day < as_of::DATE), max(day)) AS last_day
        FROM revenue_by_day JOIN main USING (currency) WHERE orders > 0
    )"""


def _change(now: str, before: str, than: tuple[str, str]) -> str:
    """Return SQL of the texts ``change_en`` and ``change_zh``; they are empty without a value before."""
    share = f"round(100 * abs({now} / {before} - 1))::INT"
    return f"""
        CASE WHEN {before} > 0
             THEN ', ' || {share} || if({now} < {before}, '% less', '% more') || ' than {than[0]}'
             ELSE '' END AS change_en,
        CASE WHEN {before} > 0
             THEN '，比{than[1]}' || if({now} < {before}, '少 ', '多 ') || {share} || '%'
             ELSE '' END AS change_zh"""


_DAY = {"field": "day", "type": "temporal", "title": ("Day", "日期")}
_CURRENCY = nominal("currency", "Currency", "货币")
_REVENUE = quantity("revenue", "Revenue", "销售额")
_ORDERS = quantity("orders", "Orders", "订单数")
_BASKET = quantity("average_basket", "Average basket", "客单价")

REVENUE = Chart(
    ("Revenue by day and currency, last 8 weeks", "最近八周各货币每日销售额"),
    sql=f"""
        {MAIN}, currencies AS (
            SELECT currency, sum(orders) AS all_orders FROM revenue_by_day
            GROUP BY ALL ORDER BY all_orders DESC, currency LIMIT 4
        ), days AS (
            SELECT unnest(generate_series(last_day - 61, last_day, INTERVAL 1 DAY))::DATE AS day
            FROM last
        ), found AS (
            SELECT day, currency, all_orders, coalesce(revenue, 0) AS revenue,
                   avg(coalesce(revenue, 0)) OVER week AS average, coalesce(orders, 0) AS orders,
                   average_basket, coalesce(refunds, 0) AS refunds,
                   coalesce(cancelled_orders, 0) AS cancelled_orders
            FROM days CROSS JOIN currencies LEFT JOIN revenue_by_day USING (day, currency)
            WINDOW week AS (PARTITION BY currency ORDER BY day ROWS 6 PRECEDING)
        )
        SELECT found.* EXCLUDE (all_orders) FROM found, last
        WHERE day > last_day - 56 ORDER BY all_orders DESC, currency, day""",
    spec={
        "facet": {**_CURRENCY, "sort": None, "title": None},
        "columns": 1,
        "resolve": {"scale": {"y": "independent"}},
        "spec": {
            "height": 150,
            "encoding": {
                "x": {
                    **_DAY,
                    "timeUnit": "yearmonthdate",
                    "bandPosition": 0.5,
                    "axis": {"title": None, "format": ("%b %-d", "%-m月%-d日")},
                }
            },
            "layer": [
                {
                    "mark": {"type": "bar", "opacity": 0.45, "width": {"band": 0.8}},
                    "encoding": {
                        "y": _REVENUE,
                        "tooltip": [
                            _DAY,
                            _CURRENCY,
                            _REVENUE,
                            quantity("average", "Average of 7 days", "七日平均"),
                            _ORDERS,
                            _BASKET,
                            quantity("refunds", "Refunds", "退款"),
                            quantity("cancelled_orders", "Cancelled orders", "取消的订单"),
                        ],
                    },
                },
                {
                    "mark": {"type": "line", "tooltip": None},
                    "encoding": {"y": quantity("average", "Revenue", "销售额")},
                },
            ],
        },
    },
    finding=(
        "{day}: {currency} {revenue} from {orders} orders{change_en}. Refunds: {currency} {refunds}; cancelled orders: {cancelled_orders}. The line is the average of 7 days.",
        "{day}：{orders} 个订单，销售额 {currency} {revenue}{change_zh}。退款 {currency} {refunds}，取消 {cancelled_orders} 个订单。线为七日平均。",
    ),
    values=f"""
        {MAIN}, days AS (
            SELECT day, currency, revenue, orders, refunds, cancelled_orders, last_day
            FROM revenue_by_day JOIN main USING (currency), last
        )
        SELECT now.*, {_change("now.revenue", "before.revenue", ("the same weekday a week before", "一周前的同一天"))}
        FROM days AS now LEFT JOIN days AS before ON before.day = now.day - 7
        WHERE now.day = now.last_day""",
)
BASKET = Chart(
    ("Average basket", "客单价"),
    sql=f"""
        {MAIN}, sums AS (
            SELECT day, sum(sales) OVER week AS sales, sum(orders) OVER week AS orders
            FROM revenue_by_day JOIN main USING (currency)
            WINDOW week AS (ORDER BY day RANGE INTERVAL 6 DAY PRECEDING)
        )
        SELECT day, round(sales / orders, 2) AS average_basket, orders FROM sums, last
        WHERE day BETWEEN last_day - 55 AND last_day AND orders > 0 ORDER BY day""",
    spec={
        "mark": "line",
        "encoding": {
            "x": {**_DAY, **NO_TITLE},
            "y": {
                **quantity("average_basket", "Average of 7 days, before refunds", "七日平均，未扣退款"),
                "scale": {"zero": False},
            },
            "tooltip": [
                _DAY,
                quantity("average_basket", "Average of 7 days, before refunds", "七日平均，未扣退款"),
                quantity("orders", "Orders in 7 days", "七日订单数"),
            ],
        },
    },
    finding=(
        "The average order of the last 28 days: {currency} {basket}{change_en}.",
        "最近 28 天每单平均 {currency} {basket}{change_zh}。",
    ),
    values=f"""
        {MAIN}, sums AS (
            SELECT currency,
                   sum(sales) FILTER (day > last_day - 28)
                       / sum(orders) FILTER (day > last_day - 28) AS basket,
                   sum(sales) FILTER (day <= last_day - 28)
                       / nullif(sum(orders) FILTER (day <= last_day - 28), 0) AS before
            FROM revenue_by_day JOIN main USING (currency), last
            WHERE day BETWEEN last_day - 55 AND last_day GROUP BY ALL
        )
        SELECT *, {_change("basket", "before", ("in the 28 days before", "之前 28 天"))} FROM sums""",
)
CATEGORIES = Chart(
    ("Revenue by category, last 28 days", "最近 28 天各类别销售额"),
    sql=f"""
        {MAIN}, sums AS (
            SELECT category, sum(revenue) FILTER (day > last_day - 28) AS recent,
                   coalesce(sum(revenue) FILTER (day <= last_day - 28), 0) AS before
            FROM revenue_by_category JOIN main USING (currency), last
            WHERE day BETWEEN last_day - 55 AND last_day GROUP BY category
        )
        SELECT category, recent AS revenue, before, recent / sum(recent) OVER () AS share
        FROM sums WHERE recent IS NOT NULL ORDER BY recent DESC, category LIMIT 12""",
    spec={
        "transform": [
            {
                "calculate": "format(datum.revenue, ',.0f') + ' (' + format(datum.share, '.0%') + ')'",
                "as": "label",
            },
        ],
        **bars(
            nominal("category", "Category", "类别"),
            _REVENUE,
            LABEL,
            quantity("before", "28 days before", "之前 28 天"),
            quantity("share", "Share", "占比", format=".1%"),
            over=(
                {
                    "mark": {"type": "tick", "thickness": 2, "color": "var(--ink)", "tooltip": None},
                    "encoding": {"x": quantity("before", "28 days before", "之前 28 天", axis=None)},
                },
            ),
        ),
    },
    finding=(
        "{category} brings {share:percent} of the revenue in {currency}. Ticks: the 28 days before.",
        "{category} 占 {currency} 销售额的 {share:percent}。竖线：之前 28 天。",
    ),
    values=f"""
        {MAIN}
        SELECT currency, category, sum(revenue) AS sums, sums / sum(sums) OVER () AS share
        FROM revenue_by_category JOIN main USING (currency), last
        WHERE day BETWEEN last_day - 27 AND last_day GROUP BY ALL ORDER BY sums DESC, category LIMIT 1""",
)
PRODUCTS = Chart(
    ("Best products, last 28 days", "最近 28 天最畅销的商品"),
    sql=f"""
        {MAIN}
        SELECT product, category, revenue_28_days AS revenue, revenue_28_days_before AS before,
               if(revenue_28_days_before > 0, revenue_28_days / revenue_28_days_before - 1, NULL) AS change
        FROM products JOIN main USING (currency) WHERE revenue_28_days > 0
        ORDER BY revenue DESC, product_id LIMIT 12""",
    spec={
        "transform": [
            {
                "calculate": "format(datum.revenue, ',.0f') + (isValid(datum.change) ? ' (' + format(datum.change, '+.0%') + ')' : '')",
                "as": "label",
            },
        ],
        **bars(
            nominal("product", "Product", "商品"),
            _REVENUE,
            LABEL,
            nominal("category", "Category", "类别"),
            quantity("before", "28 days before", "之前 28 天"),
            quantity("change", "Change", "变化", format="+.1%"),
        ),
    },
    finding=(
        "{product} sells best: {currency} {revenue}{change_en}.",
        "最畅销：{product}，{currency} {revenue}{change_zh}。",
    ),
    values=f"""
        {MAIN}
        SELECT product, currency, revenue_28_days AS revenue,
               {_change("revenue_28_days", "revenue_28_days_before", ("in the 28 days before", "之前 28 天"))}
        FROM products JOIN main USING (currency) WHERE revenue_28_days > 0
        ORDER BY revenue_28_days DESC, product_id LIMIT 1""",
)
_REFUND_RATE = quantity("refund_rate", "Refunds as a share of sales", "退款占销售的比例", format=".1%")
REFUNDS = Chart(
    ("Most refunded products", "退款最多的商品"),
    sql=f"""
        {MAIN}
        SELECT product, refund_rate, refunds, sales, orders
        FROM products JOIN main USING (currency) WHERE refunds > 0 AND orders >= 20
        ORDER BY refund_rate DESC, product_id LIMIT 12""",
    spec={
        "transform": [
            {
                "calculate": "format(datum.refund_rate, '.1%') + ' (' + format(datum.refunds, ',.0f') + ')'",
                "as": "label",
            },
        ],
        **bars(
            nominal("product", "Product", "商品"),
            _REFUND_RATE,
            LABEL,
            quantity("refunds", "Refunds", "退款"),
            quantity("sales", "Sales before refunds", "未扣退款的销售额"),
            _ORDERS,
        ),
    },
    finding=(
        "{product}: {refund_rate:percent} of its sales in {currency} were refunded; of all sales {share:percent}. Products with 20 orders or more.",
        "{product} 的 {currency} 销售额有 {refund_rate:percent} 被退款，全部商品为 {share:percent}。仅含不少于 20 个订单的商品。",
    ),
    values=f"""
        {MAIN}, everything AS (
            SELECT currency, sum(refunds) / sum(sales) AS share
            FROM products JOIN main USING (currency) GROUP BY ALL
        )
        SELECT product, currency, refund_rate, share
        FROM products JOIN everything USING (currency) WHERE refunds > 0 AND orders >= 20
        ORDER BY refund_rate DESC, product_id LIMIT 1""",
)
CUSTOMERS = Chart(
    ("Customers by last order", "按最近下单时间的客户"),
    sql=f"""
        {MAIN}, names (segment, position, segment_en, segment_zh) AS (VALUES
            ('regular', 1, 'Last 30 days, 2+ orders', '30 天内，多单'),
            ('new', 2, 'Last 30 days, first order', '30 天内，首单'),
            ('slipping away', 3, 'Earlier, 2+ orders', '更早，多单'),
            ('one order', 4, 'Earlier, one order', '更早，一单')
        )
        SELECT segment_en, segment_zh, count(*) AS customers, sum(revenue) AS revenue,
               customers / sum(customers) OVER () AS share,
               sum(revenue) / sum(sum(revenue)) OVER () AS revenue_share
        FROM customers AS found JOIN main USING (currency) JOIN names USING (segment)
        GROUP BY segment_en, segment_zh, position ORDER BY position""",
    spec={
        "transform": [
            {
                "calculate": (
                    "format(datum.customers, ',') + ', ' + format(datum.revenue_share, '.0%') + ' of the revenue'",
                    "format(datum.customers, ',') + '，占销售额 ' + format(datum.revenue_share, '.0%')",
                ),
                "as": "label",
            },
        ],
        **bars(
            nominal(("segment_en", "segment_zh"), "Customers", "客户"),
            quantity("customers", "Customers", "客户数"),
            LABEL,
            quantity("share", "Share", "占比", format=".1%"),
            _REVENUE,
            quantity("revenue_share", "Share of the revenue", "销售额占比", format=".1%"),
        ),
    },
    finding=(
        "{regular} regular customers bring {share:percent} of the revenue in {currency}; {away} with two orders or more have not ordered for 30 days.",
        "{regular} 位常客带来 {currency} 销售额的 {share:percent}；{away} 位下过两单以上的客户 30 天未再下单。",
    ),
    values=f"""
        {MAIN}
        SELECT currency, count(*) FILTER (segment = 'regular') AS regular,
               count(*) FILTER (segment = 'slipping away') AS away,
               sum(revenue) FILTER (segment = 'regular') / sum(revenue) AS share
        FROM customers JOIN main USING (currency) GROUP BY ALL""",
)
_MONTH = {"field": "month", "type": "ordinal", "title": ("Month of the first order", "首单月份")}
_RATE = quantity("repeat_rate_30_days", "Ordered again within 30 days", "30 天内再次下单")
REPEAT = Chart(
    ("Repeat rate by month of the first order", "按首单月份的复购率"),
    sql="""
        SELECT strftime(month, '%Y-%m') AS month, customers_30_days AS customers, returned_30_days AS returned,
               repeat_rate_30_days, repeat_rate
        FROM repeat_rate WHERE customers_30_days > 0 ORDER BY month DESC LIMIT 24""",
    spec={
        "transform": [
            {
                "calculate": "format(datum.repeat_rate_30_days, '.1%') + ' (' + format(datum.returned, ',') + ')'",
                "as": "label",
            },
        ],
        **bars(
            _MONTH,
            {**_RATE, "format": ".1%"},
            LABEL,
            quantity("customers", "Customers", "客户数"),
            quantity("returned", "Of them again", "其中再次下单"),
            quantity("repeat_rate", "Again until today", "迄今再次下单", format=".1%"),
        ),
    },
    finding=(
        "{share:percent} of {customers} new customers ordered again within 30 days. Only customers whose first order is at least 30 days old.",
        "{customers} 位新客中 {share:percent} 在 30 天内再次下单。仅含首单满 30 天的客户。",
    ),
    values="""
        SELECT sum(returned_30_days) / nullif(sum(customers_30_days), 0) AS share,
               sum(customers_30_days)::BIGINT AS customers
        FROM repeat_rate""",
)
CHARTS = [REVENUE, CATEGORIES, PRODUCTS, BASKET, REFUNDS, CUSTOMERS, REPEAT]
