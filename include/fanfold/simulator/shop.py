"""A shop that exports its orders as files, with what real exports do wrong.

Each day three channels write a file of order lines under ``orders/date=YYYY-MM-DD/``: ``web.csv``,
``app.jsonl.gz`` and ``market.parquet``. A file has the day's new orders, the orders of earlier days whose
status changed, and the refunds of the day. It depends on its date alone, so any number of days fit
together. What is wrong with the files:

* Fields of an order are on its first line only (``web``); its header has another order and case on Tuesdays.
* Prices are for one piece (``web``, ``app``) or for the whole quantity (``market``).
* Times have the offset of the customer; currencies differ; refunds are ``'-12.50`` with an apostrophe.
* About one line in 500 is broken, on Sundays there is a column more, and now and then a file is empty
  or there is a copy of it under another name.
* The first delivery lacks a file, has one with wrong prices and an order that never was, and one that is cut
  off. The second brings all three as they should be, a further day, and refunds of customer service.
"""

from __future__ import annotations

import csv
import functools
import gzip
import hashlib
import io
import json
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

PREFIX = "orders/"
DAYS = 90
"""Days of the first delivery."""
CHANNELS = ("web.csv", "app.jsonl.gz", "market.parquet")
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

    def refund(self, line: int, day: date, share: Decimal = Decimal(1), number: int = 1) -> dict[str, Any]:
        """Return the refund of a share of a line on a day."""
        _, quantity, price = self.lines[line - 1]
        moment = datetime.combine(day, time(15, 30), self.placed.tzinfo).isoformat()
        return {
            **self.sale(line),
            "refund_id": f"R{self.number}-{number}",
            "refunded_at": moment,
            "updated_at": moment,
            "quantity": -quantity,
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
    amount = random.gauss(60, 5) * weekday * season * sale
    return tuple(_order(random, day, number) for number in range(1, max(10, round(amount))))


def _order(random: Random, day: date, number: int) -> Order:
    currency = random.choices(list(_MARKETS), (6, 3, 2))[0]
    offset, rate = _MARKETS[currency]
    second = min(86_399, max(0, round(random.gauss(15, 4.5) * 3600)))
    zone = timezone(timedelta(hours=offset))
    placed = datetime.combine(day, time(), zone) + timedelta(seconds=second)
    weights = [product[3] for product in _PRODUCTS]
    chosen = dict.fromkeys(random.choices(range(len(_PRODUCTS)), weights, k=random.choice((1, 1, 2, 2, 3, 4))))
    lines = tuple(
        (product, random.choice((1, 1, 1, 2, 2, 3)), (Decimal(_PRODUCTS[product][2]) * rate).quantize(_CENT))
        for product in chosen
    )
    # Six of ten orders are of customers who ordered before, most of them not long ago.
    age = 0 if random.random() < 0.4 else 1 + int(random.expovariate(1 / 28))
    customer = f"C{day.toordinal() - age - 700_000}{random.randrange(25):02d}"
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


def records(day: date, channel: str) -> Iterator[list[dict[str, Any]]]:
    """Yield the lines that a channel exports on a day, an order or a refund at a time."""
    for order in orders(day):
        if order.channel == channel:
            yield [order.sale(line) for line in range(1, len(order.lines) + 1)]
    for age in range(1, 15):
        for order in orders(day - timedelta(days=age)):
            if order.channel != channel:
                continue
            if order.changed and order.changed[0].date() == day:
                moment, status = order.changed
                change = {"status": status, "updated_at": moment.isoformat()}
                yield [order.sale(line) | change for line in range(1, len(order.lines) + 1)]
            for line, when in order.refunded:
                if when == day:
                    yield [order.refund(line, day)]
