"""A shop that exports its orders as files, with what real exports do wrong.

Each day three channels write a file of order lines under ``orders/date=YYYY-MM-DD/``: ``web.csv``,
``app.jsonl.gz`` and ``market.parquet``. A file has the day's new orders, the orders of earlier days whose
status changed, and the refunds of the day. It depends on its date alone, so any number of days fit
together. What is wrong with the files:

* Fields of an order are on its first line only (``web``); its header has another order and case on Tuesdays.
* Prices are for one piece (``web``, ``app``) or for the whole quantity (``market``).
* Times have the offset of the customer; currencies differ; refunds are ``'-12.50`` with an apostrophe.
* About one line in 600 is broken, on Sundays there is a column more, and now and then a file is empty
  or there is a copy of it under another name.
* The first delivery lacks a file, has one with doubled prices and an order that never was, and one that is cut
  off. The second brings all three as they should be, a further day, and refunds of customer service.
"""

from __future__ import annotations

import csv
import functools
import gzip
import io
import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

PREFIX = "orders/"
DAYS = 70
"""Days of the first delivery."""
CHANNELS = ("web.csv", "app.jsonl.gz", "market.parquet")
FLAWS = 1500
"""Number of lines among which each kind of flaw occurs once."""
_CENT = Decimal("0.01")
_MARKETS = {"EUR": (1, Decimal("1.00")), "USD": (-5, Decimal("1.10")), "CNY": (8, Decimal("7.80"))}
"""Offset from UTC in hours and price of a euro by currency."""
_PRODUCTS = [
    # Product, category, price in euros, popularity, share of refunds.
    ("Green tea 100 g", "Tea", "8.90", 10, 0.01),
    ("Oolong 50 g", "Tea", "14.50", 7, 0.01),
    ("Earl Grey 20 bags", "Tea", "4.20", 9, 0.01),
    ("Jasmine pearls 80 g", "Tea", "19.90", 4, 0.02),
    ("Espresso beans 1 kg", "Coffee", "21.00", 9, 0.01),
    ("Filter coffee 500 g", "Coffee", "11.80", 8, 0.01),
    ("Decaf 250 g", "Coffee", "7.40", 3, 0.03),
    ("Hand grinder", "Equipment", "64.00", 3, 0.05),
    ("Electric kettle", "Equipment", "49.90", 4, 0.09),
    ("Milk frother", "Equipment", "24.50", 4, 0.16),
    ("Scale 0.1 g", "Equipment", "31.00", 2, 0.04),
    ("Glass teapot 0.8 l", "Tableware", "27.90", 5, 0.11),
    ("Cast-iron teapot", "Tableware", "72.00", 2, 0.04),
    ("Porcelain cup", "Tableware", "12.00", 6, 0.05),
    ("Double-walled glass", "Tableware", "15.90", 5, 0.08),
    ("Butter biscuits", "Sweets", "5.60", 8, 0.01),
    ("Dark chocolate 85 %", "Sweets", "3.90", 9, 0.01),
    ("Ginger sweets", "Sweets", "3.20", 4, 0.01),
    ("Gift box spring", "Gifts", "39.00", 3, 0.03),
    ("Gift card", "Gifts", "25.00", 2, 0.0),
]


@dataclass(frozen=True, slots=True)
class Order:
    """An order as it was placed; each line is a product number, a quantity and the price of one."""

    number: str
    channel: str
    placed: datetime
    customer: str
    currency: str
    lines: tuple[tuple[int, int, Decimal], ...]
    changed: tuple[datetime, str] | None
    refunded: tuple[tuple[int, date], ...]

    def sale(self, line: int) -> dict[str, Any]:
        """Return a line as a neutral record; all its values but the quantity are text."""
        product, quantity, price = self.lines[line - 1]
        name, category, *_ = _PRODUCTS[product]
        return {
            "order_id": self.number,
            "line": str(line),
            "status": "paid",
            "ordered_at": self.placed.isoformat(),
            "updated_at": self.placed.isoformat(),
            "customer_id": self.customer,
            "product_id": f"P{product + 1:03d}",
            "product": name,
            "category": category,
            "quantity": quantity,
            "unit_price": str(price),
            "currency": self.currency,
        }

    def refund(
        self, line: int, day: date, share: Decimal = Decimal(1), number: int = 1
    ) -> dict[str, Any]:
        """Return the refund of a share of a line on a day."""
        _, quantity, price = self.lines[line - 1]
        moment = datetime.combine(day, time(15, 30), self.placed.tzinfo).isoformat()
        return {
            **self.sale(line),
            "refund_id": f"R{self.number}-{number}",
            "refunded_at": moment,
            "updated_at": moment,
            "quantity": -quantity if share == 1 else 0,
            "unit_price": "",
            "amount": f"'-{(quantity * price * share).quantize(_CENT)}",
        }


@functools.lru_cache(maxsize=400)
def orders(day: date) -> tuple[Order, ...]:
    """Return the orders that customers place on a day."""
    random = Random(f"orders {day}")  # noqa: S311 - an example, no secret
    weekday = (1.0, 0.95, 0.9, 1.0, 1.15, 1.35, 1.25)[day.weekday()]
    season = 1.25 if day.month in {11, 12} else 1.0
    sale = 1.8 if day.day in {11, 12} else 1.0
    expected = random.gauss(60, 5) * weekday * season * sale
    made, newcomers = [], 0
    for number in range(1, max(10, round(expected))):
        # Six of ten orders are of customers who ordered before, most of them not long ago.
        age = 0 if random.random() < 0.4 else 1 + int(random.expovariate(1 / 28))
        born = (day - timedelta(days=age)).toordinal() - 700_000
        customer = f"C{born}{random.randrange(20) if age else newcomers:02d}"
        newcomers += not age
        made.append(_order(random, day, number, customer))
    return tuple(made)


def _order(random: Random, day: date, number: int, customer: str) -> Order:
    currency = Random(customer).choices(list(_MARKETS), (6, 3, 2))[0]  # noqa: S311 - as above
    offset, rate = _MARKETS[currency]
    second = min(86_399, max(0, round(random.gauss(15, 4.5) * 3600)))
    zone = timezone(timedelta(hours=offset))
    placed = datetime.combine(day, time(), zone) + timedelta(seconds=second)
    weights = [product[3] for product in _PRODUCTS]
    chosen = dict.fromkeys(
        random.choices(range(len(_PRODUCTS)), weights, k=random.choice((1, 1, 2, 2, 3, 4)))
    )
    lines = tuple(
        (
            product,
            random.choice((1, 1, 1, 2, 2, 3)),
            (Decimal(_PRODUCTS[product][2]) * rate).quantize(_CENT),
        )
        for product in chosen
    )
    later = placed + timedelta(hours=random.randrange(20, 60))
    fate = random.random()
    changed = (later, "cancelled" if fate < 0.04 else "shipped") if fate < 0.3 else None
    refunded = tuple(
        (line, day + timedelta(days=random.randrange(2, 15)))
        for line, (product, *_) in enumerate(lines, 1)
        if random.random() < _PRODUCTS[product][4]
    )
    channel = random.choices(CHANNELS, (5, 3, 2))[0]
    number_text = f"{day:%y%m%d}-{number:04d}"
    return Order(number_text, channel, placed, customer, currency, lines, changed, refunded)


def files(day: date) -> dict[str, bytes]:
    """Return the files of a day by name, as they should be."""
    made = {name: _file(day, name) for name in CHANNELS}
    if day.day == 15:
        made["web (copy).csv"] = made["web.csv"]
    if day.weekday() == 0:
        made["returns.csv"] = b""
    return made


def delivery(today: date, number: int, days: int = DAYS) -> Iterator[tuple[str, bytes]]:
    """Yield key and content of all files that exist after a delivery.

    Args:
        today: Date of the delivery. The first one has the ``days`` days up to two days before it, later
            ones also the day before it.
        number: That of the delivery, from 1.
        days: Days of the first delivery.
    """
    for age in range(days + 1, 0 if number > 1 else 1, -1):
        day = today - timedelta(days=age)
        made = files(day)
        if number == 1 and age == 2:
            made["web.csv"] = _csv(day, list(_wrong(lines(day, "web.csv"), day)))
        if number == 1 and age == 3:
            del made["market.parquet"]
            made["app.jsonl.gz"] = made["app.jsonl.gz"][:-100]
        if number > 1 and age == 1:
            made[f"refunds-{number}.csv"] = _csv(day, list(goodwill(day, number)))
        for name, content in made.items():
            yield f"{PREFIX}date={day}/{name}", content


def lines(day: date, channel: str) -> Iterator[dict[str, Any]]:
    """Yield what a channel exports on a day: new orders, changed ones, refunds."""
    for age in range(15):
        for order in orders(day - timedelta(days=age)):
            if order.channel != channel:
                continue
            sales = [order.sale(line) for line in range(1, len(order.lines) + 1)]
            if age == 0:
                yield from sales
            if order.changed and order.changed[0].date() == day:
                moment, status = order.changed
                change = {"status": status, "updated_at": moment.isoformat()}
                yield from (sale | change for sale in sales)
            for line, when in order.refunded:
                if when == day:
                    yield order.refund(line, day)


def _wrong(lines: Iterator[dict[str, Any]], day: date) -> Iterator[dict[str, Any]]:
    """Yield lines with doubled prices, and an order that never was."""
    first = None
    for line in lines:
        first = first or line
        doubled = {"unit_price": str(Decimal(line["unit_price"] or 0) * 2)}
        yield line | doubled if line["order_id"].startswith(f"{day:%y%m%d}") else line
    if first:
        yield first | {"order_id": f"{day:%y%m%d}-9999", "quantity": 30}


def goodwill(day: date, delivery: int) -> Iterator[dict[str, Any]]:
    """Yield refunds of a part of the price, for orders of the last two weeks."""
    random = Random(f"refunds {day} {delivery}")  # noqa: S311 - an example, no secret
    for age in range(2, 15):
        order = random.choice(
            [each for each in orders(day - timedelta(days=age)) if not each.changed]
        )
        yield order.refund(1, day, Decimal("0.3"), delivery)


def _file(day: date, channel: str) -> bytes:
    found = list(lines(day, channel))
    if channel.endswith(".csv"):
        return _csv(day, found)
    return _jsonl(day, found) if channel.endswith(".jsonl.gz") else _parquet(found)


def _csv(day: date, lines: list[dict[str, Any]]) -> bytes:
    """Return lines as CSV; fields of an order are on its first line only."""
    names = [
        "order_id", "line", "status", "ordered_at", "updated_at", "customer_id", "product_id", "product",
        "category", "quantity", "unit_price", "currency", "refund_id", "refunded_at", "amount",
    ]  # fmt: skip
    of_order = dict.fromkeys(("status", "ordered_at", "updated_at", "customer_id", "currency"), "")
    random = Random(f"broken {day}")  # noqa: S311 - an example, no secret
    if day.weekday() == 1:
        names.sort(reverse=True)
    if day.weekday() == 6:
        names.append("gift_note")
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, names, restval="", lineterminator="\r\n")
    writer.writerow({name: name.upper() if day.weekday() == 1 else name for name in names})
    before = None
    for line in lines:
        first = before is None or "refund_id" in line or line["order_id"] != before["order_id"]
        row = line if first else line | of_order
        flaw = random.randrange(FLAWS)
        if flaw == 0:
            text.write(f"{row['order_id']},{row['line']}\r\n")
        elif flaw == 1:
            writer.writerow(row | {"quantity": "two"})
        elif flaw == 2:
            writer.writerow(row | {"unit_price": "n/a", "amount": ""})
        else:
            writer.writerow(row)
        before = line
    # A byte order mark, as spreadsheets write it.
    return text.getvalue().encode("utf-8-sig" if day.weekday() == 3 else "utf-8")


def _jsonl(day: date, lines: list[dict[str, Any]]) -> bytes:
    """Return lines as compressed JSON, some cut off or without a currency code."""
    random = Random(f"broken {day}")  # noqa: S311 - an example, no secret
    text = []
    for line in lines:
        flaw = random.randrange(FLAWS)
        document = json.dumps(line | ({"currency": "?"} if flaw == 0 else {}))
        text.append(document[:-20] if flaw == 1 else document)
    return gzip.compress("\n".join([*text, ""]).encode(), mtime=0)


def _parquet(lines: list[dict[str, Any]]) -> bytes:
    """Return lines as Parquet: typed, times in UTC, amounts for the whole quantity."""
    # Takes 0.1 s to import, which other parts of the simulator need not wait for.
    import pyarrow as pa
    import pyarrow.parquet as pq

    times = ("ordered_at", "updated_at", "refunded_at")
    rows = [
        {
            **line,
            "line": int(line["line"]),
            "amount": Decimal(line["amount"].strip("'")) if "amount" in line
            else line["quantity"] * Decimal(line["unit_price"]),
            **{name: datetime.fromisoformat(line[name]).astimezone(UTC) for name in times if name in line},
        }
        for line in lines
    ]  # fmt: skip
    kinds = {
        **dict.fromkeys(("order_id", "refund_id", "status", "customer_id"), pa.string()),
        **dict.fromkeys(("product_id", "product", "category", "currency"), pa.string()),
        **dict.fromkeys(times, pa.timestamp("us", "UTC")),
        **dict.fromkeys(("line", "quantity"), pa.int64()),
        "amount": pa.decimal128(12, 2),
    }
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, pa.schema(kinds)), sink, compression="zstd")
    return sink.getvalue()
