"""Order analysis: order lines from files in object storage; revenue, products, customers, repeat rate.

A row is a line of an order (``event`` is ``sale``) or the refund of a line, which comes later, in another
file, and has a key of its own. An order that is exported again, for example because it was cancelled,
replaces its lines by ``updated_at``. Amounts are exact and never added across currencies.

How the folds count:

* Revenue is net: sales less refunds, without shipping and taxes unless the price of a line has them. A sale
  counts on the day of the order, a refund on the day of the refund, each by the clock of the file: 00:30
  with the offset +08:00 belongs to the new day.
* Cancelled lines and their refunds count as ``cancelled_orders`` and nowhere else.
* The average basket is sales before refunds, divided by orders.
* Days are counted back from the last whole day with an order, that is before the date of the run: an order
  of today or with a wrong date in the future, and files that are late, do not make customers look lost.
"""

from __future__ import annotations

import datetime
from typing import Any

import pandas as pd
import pandera.pandas as pa
import pyarrow
import pyarrow.compute as pc
from pandera.engines.pandas_engine import Decimal

from fanfold import Files, Fold, Pipeline
from pipelines import _order_charts as charts

COLUMNS = {
    # The names in a neutral export, in Shopify's, Amazon's and WooCommerce's (a row a line item).
    "shop": ("shop",),
    "order_id": ("order_id", "Name", "amazon-order-id", "order_number"),
    "line": ("line", "item_id"),
    "refund_id": ("refund_id",),
    "status": ("status", "Financial Status", "order-status"),
    "cancelled_at": ("cancelled_at", "Cancelled at"),
    "ordered_at": ("ordered_at", "Created at", "purchase-date", "order_date"),
    "refunded_at": ("refunded_at",),
    "updated_at": ("updated_at", "last-updated-date"),
    "customer_id": ("customer_id", "Email", "buyer-email"),
    "product_id": ("product_id", "Lineitem sku", "sku", "item_sku"),
    "product": ("product", "Lineitem name", "product-name", "item_name"),
    "category": ("category",),
    "quantity": ("quantity", "Lineitem quantity", "item_quantity"),
    "unit_price": ("unit_price", "Lineitem price"),
    "discount": ("discount", "Lineitem discount"),
    "amount": ("amount", "item-price", "item_total"),
    "currency": ("currency", "order_currency"),
}
"""Names in files by column. ``amount`` is for the whole quantity; without it, an amount is
``unit_price`` × ``quantity`` - ``discount``."""
REQUIRED = ("order_id", "ordered_at", "quantity", "currency")
OF_ORDER = ["shop", "status", "cancelled_at", "ordered_at", "updated_at", "customer_id", "currency"]
"""Columns that an export may fill on the first line of an order only."""
CANCELLED = ["cancelled", "canceled", "voided", "failed"]
_UTC = {"unit": "us", "tz": "UTC"}


def _text(limit: int, *, nullable: bool = False) -> Any:
    return pa.Field(nullable=nullable, str_length={"min_value": 1, "max_value": limit})


class OrderLine(pa.DataFrameModel):
    """A line of an order, or a refund, whose quantity and amount are negative."""

    shop: str = _text(100)
    order_id: str = _text(100)
    line: int = pa.Field(ge=1)
    event: str = _text(100)
    status: str = _text(40, nullable=True)
    happened_at: pd.DatetimeTZDtype = pa.Field(dtype_kwargs=_UTC)
    day: datetime.date
    updated_at: pd.DatetimeTZDtype = pa.Field(dtype_kwargs=_UTC, nullable=True)
    customer_id: str = _text(200, nullable=True)
    product_id: str = _text(200)
    product: str = _text(500)
    category: str = _text(200, nullable=True)
    quantity: int
    amount: Decimal = pa.Field(dtype_kwargs={"precision": 18, "scale": 4})
    currency: str = pa.Field(str_matches=r"^[A-Z]{3}$")
    file: str


def rows(records: pd.DataFrame) -> pd.DataFrame:
    """Return the order lines and refunds of some files; the index is the file's URI."""
    file = records.index.to_series().reset_index(drop=True)
    found = records.reset_index(drop=True).reindex(columns=list(COLUMNS))
    text = pd.DataFrame({name: _plain(found[name]) for name in found})
    # Consecutive records with one number are one order.
    order = (text["order_id"].ne(text["order_id"].shift()) | file.ne(file.shift())).cumsum()
    text[OF_ORDER] = text[OF_ORDER].groupby(order).ffill()

    quantity, amount = _integers(text["quantity"]), _amount(text)
    is_negative = amount.lt(0).fillna(value=False).astype(bool)
    is_refund = text["refund_id"].notna() | text["refunded_at"].notna() | is_negative
    moment = text["refunded_at"].fillna(text["ordered_at"]).where(is_refund, text["ordered_at"])
    event = text["refund_id"].fillna("refund " + moment).where(is_refund, "sale")
    status = text["status"].str.lower()
    is_cancelled = text["cancelled_at"].notna() | status.isin(CANCELLED)
    price = text["amount"].fillna(text["unit_price"])
    # Amazon's report has no price for an order that was cancelled.
    amount = amount.mask(is_cancelled & price.isna(), 0)
    product = text["product"].fillna(text["product_id"]).fillna("unknown")
    happened_at = _moments(moment)
    return pd.DataFrame(
        {
            "shop": text["shop"].fillna("main"),
            "order_id": text["order_id"],
            "line": _or_text(
                # Without numbers, the place in the order or in the refund.
                _integers(text["line"]).mask(
                    text["line"].isna(), order.groupby([order, event]).cumcount() + 1
                ),
                text["line"],
            ),
            "event": event,
            "status": status.mask(is_cancelled, "cancelled"),
            "happened_at": _or_text(happened_at, moment),
            "day": _days(moment, happened_at),
            "updated_at": _or_text(_moments(text["updated_at"]), text["updated_at"]),
            "customer_id": text["customer_id"],
            "product_id": text["product_id"].fillna(product),
            "product": product,
            "category": text["category"],
            "quantity": _or_text(quantity.mask(is_refund, -quantity.abs()), text["quantity"]),
            "amount": _or_text(amount.mask(is_refund, -amount.abs()), price),
            "currency": text["currency"].str.upper(),
        }
    ).set_axis(records.index)


def _plain(values: pd.Series) -> pd.Series:
    """Return values as text without surrounding space and without the apostrophe before a number.

    Exports write ``'-12.50``, so that no spreadsheet takes the value for a formula.
    """
    text = pc.utf8_trim_whitespace(pyarrow.array(values.astype("str"), from_pandas=True))
    if pc.any(pc.starts_with(text, "'")).as_py():
        text = pc.replace_substring_regex(text, r"^'([-+\d])", r"\1")
    return pd.Series(pc.if_else(pc.equal(text, ""), None, text), dtype="str")


def _amount(text: pd.DataFrame) -> pd.Series:
    """Return the amounts, exact; null where a text cannot be read."""
    quantity = _integers(text["quantity"]).astype("Int32").astype(_arrow("decimal128", 10, 0))
    of_price = _decimals(text["unit_price"]) * quantity - _decimals(text["discount"].fillna("0"))
    return of_price.mask(text["amount"].notna(), _decimals(text["amount"]))


def _decimals(text: pd.Series) -> pd.Series:
    """Return texts with up to 14 digits and 4 decimal places as decimals, others as null."""
    readable = text.str.fullmatch(r"[+-]?[0-9]{1,14}(\.[0-9]{1,4}0*)?").fillna(value=False).astype(bool)
    return text.where(readable).astype(_arrow("string")).astype(_arrow("decimal128", 18, 4))


def _integers(text: pd.Series) -> pd.Series:
    """Return texts with up to 9 digits, and perhaps ``.0``, as integers, others as null."""
    digits = text.str.extract(r"^([+-]?[0-9]{1,9})(?:\.0*)?$", expand=False)
    return pd.to_numeric(digits).astype("Int64")


def _moments(text: pd.Series) -> pd.Series:
    """Return times in UTC, others as null; a time without an offset is in UTC."""
    return pd.to_datetime(text, utc=True, format="ISO8601", errors="coerce")


def _days(text: pd.Series, moments: pd.Series) -> pd.Series:
    """Return the dates of times by their own clock: the one that they begin with."""
    written = text.str.extract(r"^([0-9]{4}-[0-9]{2}-[0-9]{2})", expand=False)
    day = written.fillna(moments.dt.strftime("%Y-%m-%d")).where(moments.notna())
    return day.astype(_arrow("string")).astype(_arrow("date32"))


def _or_text(values: pd.Series, text: pd.Series) -> pd.Series:
    """Return values, and of those that could not be read the text, for the message of the contract."""
    unreadable = values.isna() & text.notna()
    return values.astype(object).mask(unreadable, text) if unreadable.any() else values


def _arrow(name: str, *of: int) -> pd.ArrowDtype:
    return pd.ArrowDtype(getattr(pyarrow, name)(*of))


# --- folds ----------------------------------------------------------------------------------

LINES = """
    WITH cancelled AS (
        SELECT DISTINCT shop, order_id, line, true AS is_cancelled
        FROM dataset WHERE event = 'sale' AND status = 'cancelled'
    ), lines AS (
        SELECT * EXCLUDE (is_cancelled, category), event = 'sale' AS is_sale,
               coalesce(is_cancelled, false) AS is_cancelled, (shop, order_id) AS its_order,
               coalesce(category, 'uncategorised') AS category
        FROM dataset LEFT JOIN cancelled USING (shop, order_id, line)
    )"""
COUNTED = f"{LINES}, counted AS (FROM lines WHERE NOT is_cancelled)"
SUMS = """
    count(DISTINCT its_order) FILTER (is_sale) AS orders,
    coalesce(sum(quantity), 0) AS units,
    coalesce(sum(amount) FILTER (is_sale), 0)::DECIMAL(18, 4) AS sales,
    coalesce(-sum(amount) FILTER (NOT is_sale), 0)::DECIMAL(18, 4) AS refunds,
    coalesce(sum(amount), 0)::DECIMAL(18, 4) AS revenue"""
BASKET = "round(sales / nullif(orders, 0), 2)::DECIMAL(18, 2) AS average_basket"
LAST_DAY = """(
    SELECT coalesce(max(day) FILTER (day < (SELECT max(as_of)::DATE FROM dataset)), max(day))
    FROM counted WHERE is_sale
)"""

FOLDS = [
    Fold(
        "revenue_by_day",
        key=("day", "currency"),
        sql=f"""
            {COUNTED}, sums AS (SELECT day, currency, {SUMS} FROM counted GROUP BY ALL),
            lost AS (
                SELECT day, currency, count(DISTINCT its_order) AS cancelled_orders
                FROM lines WHERE is_cancelled AND is_sale GROUP BY ALL
            )
            SELECT day, currency, coalesce(orders, 0) AS orders, coalesce(units, 0) AS units,
                   coalesce(sales, 0) AS sales, coalesce(refunds, 0) AS refunds,
                   coalesce(revenue, 0) AS revenue, {BASKET},
                   coalesce(cancelled_orders, 0) AS cancelled_orders
            FROM sums FULL JOIN lost USING (day, currency)""",
    ),
    Fold(
        "revenue_by_category",
        key=("day", "category", "currency"),
        sql=f"""
            {COUNTED}, sums AS (SELECT day, category, currency, {SUMS} FROM counted GROUP BY ALL)
            SELECT *, {BASKET} FROM sums""",
    ),
    Fold(
        "products",
        key=("currency", "product_id"),
        # Name and category as in the newest line.
        sql=f"""
            {COUNTED}
            SELECT currency, product_id,
                   arg_max(product, (day, order_id, line)) AS product,
                   arg_max(category, (day, order_id, line)) AS category, {SUMS},
                   round(refunds / nullif(sales, 0), 4)::DECIMAL(9, 4) AS refund_rate,
                   coalesce(sum(amount) FILTER (day BETWEEN {LAST_DAY} - 27 AND {LAST_DAY}),
                       0)::DECIMAL(18, 4)
                       AS revenue_28_days,
                   coalesce(sum(amount) FILTER (day BETWEEN {LAST_DAY} - 55 AND {LAST_DAY} - 28),
                       0)::DECIMAL(18, 4) AS revenue_28_days_before
            FROM counted GROUP BY ALL""",
    ),
    Fold(
        "customers",
        key=("shop", "customer_id", "currency"),
        # Scores from 1 to 5 by rank among the customers of a currency, so that equal values are equal.
        sql=f"""
            {COUNTED}, sums AS (
                SELECT shop, customer_id, currency, min(day) FILTER (is_sale) AS first_day,
                       max(day) FILTER (is_sale) AS last_day, {SUMS}
                FROM counted WHERE customer_id IS NOT NULL GROUP BY ALL
            ), customers AS (
                SELECT shop, customer_id, currency, first_day, last_day,
                       greatest({LAST_DAY} - last_day, 0) AS recency_days, orders, revenue
                FROM sums WHERE orders > 0
            )
            SELECT *,
                   1 + floor(5 * percent_rank() OVER (recency) * 0.999)::BIGINT AS recency_score,
                   1 + floor(5 * percent_rank() OVER (frequency) * 0.999)::BIGINT
                       AS frequency_score,
                   1 + floor(5 * percent_rank() OVER (money) * 0.999)::BIGINT AS money_score,
                   CASE WHEN recency_days <= 30 THEN if(orders > 1, 'regular', 'new')
                        ELSE if(orders > 1, 'slipping away', 'one order') END AS segment
            FROM customers
            WINDOW recency AS (PARTITION BY currency ORDER BY recency_days DESC),
                   frequency AS (PARTITION BY currency ORDER BY orders),
                   money AS (PARTITION BY currency ORDER BY revenue)""",
    ),
    Fold(
        "repeat_rate",
        key=("month",),
        # A fair comparison of months needs the same time for each customer: 30 days.
        sql=f"""
            {COUNTED}, orders AS (
                SELECT shop, customer_id, order_id, min(day) AS day FROM counted
                WHERE customer_id IS NOT NULL AND is_sale GROUP BY ALL
            ), numbered AS (
                SELECT shop, customer_id, day,
                       row_number() OVER (PARTITION BY shop, customer_id ORDER BY day, order_id)
                           AS number
                FROM orders
            ), known AS (
                SELECT min(day) AS first_day, max(day) FILTER (number = 2) AS second_day
                FROM numbered GROUP BY shop, customer_id
            )
            SELECT date_trunc('month', first_day)::DATE AS month, count(*) AS customers,
                   count(second_day) AS returned,
                   round(returned / customers, 4)::DECIMAL(9, 4) AS repeat_rate,
                   count(*) FILTER (first_day <= {LAST_DAY} - 30) AS customers_30_days,
                   count(*) FILTER (first_day <= {LAST_DAY} - 30
                                    AND second_day <= first_day + 30) AS returned_30_days,
                   round(returned_30_days / nullif(customers_30_days, 0), 4)::DECIMAL(9, 4)
                       AS repeat_rate_30_days
            FROM known GROUP BY ALL""",
    ),
]

PIPELINE = Pipeline(
    name="order_analysis",
    noun=("order file", "订单文件"),
    source=Files(
        columns=COLUMNS,
        optional=[name for name in COLUMNS if name not in REQUIRED],
        together="order_id",
    ),
    transform=rows,
    contract=OrderLine,
    key=("shop", "order_id", "line", "event"),
    mode="merge",
    newest="updated_at",
    dataset="order_lines",
    folds=FOLDS,
    charts=charts.CHARTS,
    item_column="file",
    label="product",
    measure="amount",
    not_compared=("file",),
)
