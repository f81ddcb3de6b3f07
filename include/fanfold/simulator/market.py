"""A simulated stock market: daily bars of 30 symbols, and those of 12 as files with what real exports do wrong.

Bars are a function of symbol and date alone, from 2015 on. Trading days are those of Shanghai; codes are real
codes, so that a pipeline's default list works at a real provider, too; all prices are invented. As in
real markets, symbols of a sector move together, prices move by at most 10 % a day, every symbol pays a
dividend each summer and some split their shares then, trading in a symbol is now and then suspended for
days, and some symbols were listed later.

The files are ``bars/YYYY-MM/<symbol>.csv``, one a symbol and month, of three exporters: a neutral one with
adjustment factors; one as Yahoo's with adjusted closes, and the symbol in the name of the file alone; and
one as tushare's, compressed, with the newest day first, lots of 100 shares and amounts in 1,000. What is
wrong with them:

* Now and then a bar has a high below its close, a line is there twice, a day without trading has a line of
  ``null``, or a volume has its thousands grouped.
* Some files begin with a byte order mark; one exporter ends lines with CR LF.
* The first delivery lacks a file, has one that is cut off, and a bar whose prices are ten times too high. The
  second brings all as they should be, and a further day.
"""

from __future__ import annotations

import csv
import functools
import gzip
import io
from datetime import date, timedelta
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

FIRST_DAY = date(2015, 1, 5)
"""First day of the market."""
_SECTORS = {
    # Of each sector: drift and deviation of a day that its symbols have in common, and the symbols.
    "banks": (0.0, 0.006, "600036.SH 601398.SH 601166.SH 000001.SZ 600000.SH"),
    "liquor": (0.0004, 0.011, "600519.SH 000858.SZ 000568.SZ 600809.SH 002304.SZ"),
    "energy": (0.0, 0.009, "601857.SH 600028.SH 601088.SH 601899.SH 600900.SH"),
    "electronics": (0.0003, 0.013, "000725.SZ 002415.SZ 002230.SZ 300059.SZ 603501.SH"),
    "health": (0.0002, 0.011, "600276.SH 000538.SZ 300015.SZ 300760.SZ 603259.SH"),
    "vehicles": (0.0004, 0.014, "002594.SZ 300750.SZ 601012.SH 600104.SH 000625.SZ"),
}
_HOLIDAYS = (
    # Weekdays on which Shanghai's exchange is closed, as exchange-calendars 4.13 has them. It publishes them
    # a year at a time; in later years, the simulated market has none.
    "2015 0101-0102 0218-0224 0406 0501 0622 0903-0904 1001-1007",
    "2016 0101 0208-0212 0404 0502 0609-0610 0915-0916 1003-1007",
    "2017 0102 0127-0202 0403-0404 0501 0529-0530 1002-1006",
    "2018 0101 0215-0221 0405-0406 0430-0501 0618 0924 1001-1005 1231",
    "2019 0101 0204-0208 0405 0501-0503 0607 0913 1001-1007",
    "2020 0101 0124-0131 0406 0501-0505 0625-0626 1001-1008",
    "2021 0101 0211-0217 0405 0503-0505 0614 0920-0921 1001-1007",
    "2022 0103 0131-0204 0404-0405 0502-0504 0603 0912 1003-1007",
    "2023 0102 0123-0127 0405 0501-0503 0622-0623 0929-1006",
    "2024 0101 0209-0216 0404-0405 0501-0503 0610 0916-0917 1001-1007",
    "2025 0101 0128-0204 0404 0501-0505 0602 1001-1008",
    "2026 0101-0102 0216-0223 0406 0501-0505 0619 0925 1001-1007",
)
_LISTED = {
    "603501.SH": date(2017, 5, 4),
    "603259.SH": date(2018, 5, 8),
    "300750.SZ": date(2018, 6, 11),
    "300760.SZ": date(2018, 10, 16),
}
SECTORS = {symbol: name for name, (*_, symbols) in _SECTORS.items() for symbol in symbols.split()}
"""Sector by symbol."""
SYMBOLS = tuple(SECTORS)
PREFIX = "bars/"
MONTHS = 24
"""Whole months of a delivery before the current one."""
EXPORTED = tuple(name for place, name in enumerate(SYMBOLS) if place % 5 < 2)
"""Symbols with files: two of each sector."""
FLAWS = 1500
"""Number of bars among which each kind of flaw occurs once."""


class Bar(NamedTuple):
    """A day of a symbol. Prices are as traded, in yuan; nothing is adjusted.

    Attributes:
        symbol: Its code, such as ``600519.SH``.
        day: The trading day.
        open: First price.
        high: Highest price.
        low: Lowest price.
        close: Last price.
        before: The close before, less dividend and divided by the split that take effect on this day.
        volume: Shares.
        amount: Turnover in yuan.
        factor: Cumulative adjustment factor: prices of two days compare as price × factor. 1 at first.
    """

    symbol: str
    day: date
    open: float
    high: float
    low: float
    close: float
    before: float
    volume: int
    amount: int
    factor: float


def bars(symbol: str, first: date, last: date) -> list[Bar]:
    """Return the bars of a symbol from ``first`` to ``last``, both included; none of an unknown one."""
    years = range(max(first, FIRST_DAY).year, last.year + 1) if symbol in SECTORS else ()
    return [bar for year in years for bar in _year(symbol, year) if first <= bar.day <= last]


def sessions(first: date, last: date) -> list[date]:
    """Return the trading days from ``first`` to ``last``."""
    years = range(max(first, FIRST_DAY).year, last.year + 1)
    return [day for year in years for day in _sessions(year) if first <= day <= last]


@functools.lru_cache
def _sessions(year: int) -> tuple[date, ...]:
    closed: set[date] = set()
    for part in next((line for line in _HOLIDAYS if line.startswith(str(year))), "").split()[1:]:
        first, _, last = part.partition("-")
        begin, end = (date(year, int(day[:2]), int(day[2:])) for day in (first, last or first))
        closed |= {begin + timedelta(each) for each in range((end - begin).days + 1)}
    first_of_year = date(year, 1, 1)
    days = (first_of_year + timedelta(each) for each in range(366))
    return tuple(
        day
        for day in days
        if day.year == year and day.weekday() < 5 and day >= FIRST_DAY and day not in closed
    )


@functools.lru_cache(maxsize=512)
def _year(symbol: str, year: int) -> tuple[Bar, ...]:
    """Return the bars of a year, which continue those of the year before."""
    listed = _LISTED.get(symbol, FIRST_DAY)
    earlier = _last(symbol, year - 1) if year > listed.year else None
    character = Random(symbol)  # noqa: S311 - an example, no secret
    close, factor = (earlier.close, earlier.factor) if earlier else (character.uniform(8, 90), 1.0)
    beta, noise = character.uniform(0.7, 1.3), character.uniform(0.007, 0.016)
    turnover = character.lognormvariate(19.5, 0.8)

    random = Random(f"{symbol} {year}")  # noqa: S311 - as above
    days = [day for day in _sessions(year) if day >= listed]
    ex_day = date(year, 6, 1) + timedelta(random.randrange(60))
    payout = random.uniform(0.005, 0.03)
    split = random.choice((1.0, 1.0, 1.3, 1.5, 2.0)) if close > 15 else 1.0
    suspended, made = 0, []
    for day in days:
        gap, change, above, below, busy = (random.gauss(0, 1) for _ in range(5))
        change *= 2.2 if random.random() < 0.1 else 0.8  # fat tails
        suspended = max(0, suspended - 1) or (
            random.randrange(2, 9) if random.random() < 0.002 else 0
        )
        if suspended:
            continue
        before = close
        if ex_day <= day and days[0] < ex_day:
            before = round((close - round(payout * close, 2)) / split, 2)
            factor, ex_day = round(factor * close / before, 4), date.max
        low, high = round(before * 0.9, 2), round(before * 1.1, 2)
        factors = beta * _market(day) + _sector(SECTORS[symbol], day)
        drift = 0.3 * noise * gap
        first = _within(before * (1 + 0.3 * factors + drift), low, high)
        close = _within(before * (1 + factors + drift + noise * change), low, high)
        top = _within(max(first, close) * (1 + noise * abs(above) / 2), low, high)
        bottom = _within(min(first, close) * (1 - noise * abs(below) / 2), low, high)
        mean = (first + close + top + bottom) / 4
        moved = 1 + 12 * abs(close / before - 1)
        volume = 100 * max(1, round(turnover * moved * 2.0 ** (busy / 2) / mean / 100))
        amount = round(volume * mean)
        made.append(Bar(symbol, day, first, top, bottom, close, before, volume, amount, factor))
    return tuple(made)


def _last(symbol: str, year: int) -> Bar | None:
    """Return the last bar up to the end of a year."""
    made = _year(symbol, year)
    return made[-1] if made else None


def _within(price: float, low: float, high: float) -> float:
    return round(min(max(price, low), high), 2)


@functools.lru_cache(maxsize=8192)
def _market(day: date) -> float:
    """Return the return of the market on a day; some months are wilder than others."""
    mood = Random(f"mood {day:%Y-%m}").uniform(0.5, 1.7)  # noqa: S311 - an example, no secret
    return Random(f"market {day}").gauss(0.0001, 0.008 * mood)  # noqa: S311


@functools.lru_cache(maxsize=65536)
def _sector(name: str, day: date) -> float:
    """Return what a day adds to the returns of a sector."""
    drift, deviation, _ = _SECTORS[name]
    return Random(f"{name} {day}").gauss(drift, deviation)  # noqa: S311 - an example, no secret


# --- files --------------------------------------------------------------------------------------


def delivery(today: date, number: int, months: int = MONTHS) -> Iterator[tuple[str, bytes]]:
    """Yield key and content of all files that exist after a delivery.

    Args:
        today: Date of the delivery. The first one has bars up to two days before it, later ones also
            those of the day before it.
        number: That of the delivery, from 1.
        months: Whole months before the current one.
    """
    last = today - timedelta(days=2 if number == 1 else 1)
    begin = last.replace(day=1)
    for _ in range(months):
        begin = (begin - timedelta(days=1)).replace(day=1)
    for place, symbol in enumerate(EXPORTED):
        found = bars(symbol, begin, last)
        by_month: dict[str, list[Bar]] = {}
        for bar in found:
            by_month.setdefault(f"{bar.day:%Y-%m}", []).append(bar)
        for age, (month, its_bars) in enumerate(reversed(by_month.items())):
            if number == 1 and (place, age) == (0, 2):
                continue
            is_wrong = number == 1 and (place, age) == (4, 0)  # without amount, none can tell
            given = [_tenfold(its_bars[0]), *its_bars[1:]] if is_wrong else its_bars
            name, content = _EXPORTERS[place % 3](given, found[-1].factor)
            if number == 1 and (place, age) == (5, 1):
                content = content[:-100]
            yield f"{PREFIX}{month}/{name}", content


def _tenfold(bar: Bar) -> Bar:
    return bar._replace(
        **{name: round(10 * getattr(bar, name), 2) for name in ("open", "high", "low", "close")}
    )


def _neutral(found: list[Bar], _: float) -> tuple[str, bytes]:
    """Return name and content of a file with amounts and factors."""
    columns = ["symbol", "date", "open", "high", "low", "close", "volume", "amount", "adj_factor"]
    lines = [[*bar[:6], bar.volume, bar.amount, bar.factor] for bar in _flawed(found)]
    return f"{found[0].symbol}.csv", _csv(columns, lines, found, "\n")


def _yahoo(found: list[Bar], newest: float) -> tuple[str, bytes]:
    """Return name and content of a file with adjusted closes, as of the day of the export."""
    columns = ["Date", "Open", "High", "Low", "Close", "Adj Close", "Volume"]
    lines: list[list[Any]] = []
    for bar in _flawed(found):
        flaw = Random(f"null {bar.symbol} {bar.day}").randrange(FLAWS)  # noqa: S311 - as above
        adjusted = round(bar.close * bar.factor / newest, 6)
        volume = f"{bar.volume:,}" if flaw < 5 else bar.volume
        lines.append([bar.day, *bar[2:6], adjusted, volume])
        if flaw == 0:
            lines.append([bar.day + timedelta(days=1), *["null"] * 6])
    return f"{found[0].symbol}.csv", _csv(columns, lines, found, "\r\n")


def _tushare(found: list[Bar], _: float) -> tuple[str, bytes]:
    """Return name and content of a compressed file in lots of 100 shares and amounts in 1,000."""
    columns = ["ts_code", "trade_date", "open", "high", "low", "close", "pre_close", "vol", "amount", "adj_factor"]  # fmt: skip
    lines = [
        [
            bar.symbol,
            f"{bar.day:%Y%m%d}",
            *bar[2:7],
            bar.volume / 100,
            bar.amount / 1000,
            bar.factor,
        ]
        for bar in reversed(_flawed(found))
    ]
    return f"{found[0].symbol}.csv.gz", gzip.compress(_csv(columns, lines, found, "\n"), mtime=0)


_EXPORTERS = (_neutral, _yahoo, _tushare)


def _flawed(found: list[Bar]) -> list[Bar]:
    """Return bars, some of them with a high below the close, some twice."""
    made = []
    for bar in found:
        flaw = Random(f"flaw {bar.symbol} {bar.day}").randrange(FLAWS)  # noqa: S311 - as above
        made += [bar._replace(high=round(bar.low / 2, 2)) if flaw == 0 else bar] * (1 + (flaw == 1))
    return made


def _csv(columns: list[str], lines: list[list[Any]], found: list[Bar], end: str) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=end).writerows([columns, *lines])
    # A byte order mark, as spreadsheets write it.
    return text.getvalue().encode("utf-8-sig" if found[0].day.month % 4 == 0 else "utf-8")
