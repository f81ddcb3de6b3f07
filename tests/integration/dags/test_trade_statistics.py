"""Trade statistics from trigger to sinks, in ``dag.test()``: on two days, with items from a query and a file."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime

import pytest

from fanfold.airflow.settings import DEFAULT
from fanfold.model import Counts
from fanfold.simulator import market

# Airflow and its providers warn about themselves.
pytestmark = pytest.mark.filterwarnings("ignore")

NAME = "trade_statistics"
TOKEN = "5f1c0ffee-token-of-an-account"
SYMBOLS = ["600519.SH", "300750.SZ"]


def loaded(pipeline):
    """Number of bars by symbol, and the newest day."""
    statement = "SELECT symbol, count(*), max(trade_date) FROM daily_bars GROUP BY 1"
    with closing(sqlite3.connect(pipeline.warehouse)) as connection:
        return {symbol: found for symbol, *found in connection.execute(statement)}


def expected(day):
    bars = {symbol: market.bars(symbol, market.FIRST_DAY, day.date()) for symbol in SYMBOLS}
    return {symbol: [len(found), str(found[-1].day)] for symbol, found in bars.items()}


def test_the_second_day_fetches_only_new_bars_and_the_token_is_nowhere(pipeline, caplog, capfd):
    pipeline.simulator.control(token=TOKEN)
    pipeline.connect(
        "tushare_default", conn_type="http", host=pipeline.simulator.url, password=TOKEN
    )
    with closing(sqlite3.connect(pipeline.warehouse)) as connection, connection:
        connection.execute("CREATE TABLE watched (code TEXT)")
        connection.executemany("INSERT INTO watched VALUES (?)", [[each] for each in SYMBOLS])
    first_day, second_day = (datetime(2026, 3, day, 11, tzinfo=UTC) for day in (2, 3))
    first = pipeline.run(NAME, date=first_day, items_sql="SELECT code AS symbol FROM watched")
    assert first.errors == {}
    assert first.counts == Counts(planned=2, ok=2)
    assert first.manifest["requests"] == 8
    assert loaded(pipeline) == expected(first_day)

    path = pipeline.inputs / "symbols.csv"
    path.write_text("\n".join(["symbol,sector", *(f"{each},any" for each in SYMBOLS)]))
    second = pipeline.run(NAME, date=second_day, items_uri=path.as_uri())
    assert second.errors == {}
    assert second.manifest["requests"] == 4
    assert loaded(pipeline) == expected(second_day)

    pipeline.connect("tushare_default", conn_type="http", host=pipeline.simulator.url, password="x")
    refused = pipeline.run(NAME, date=second_day.replace(day=4), symbols=SYMBOLS)
    assert "tushare 40101: token rejected" in refused.error("preflight")

    assert first.dag.params.get_param("symbols").schema[DEFAULT] == list(market.SYMBOLS)
    files = [path for path in pipeline.shared.rglob("*") if path.is_file()]
    assert len(files) > 20
    assert not [path for path in files if TOKEN.encode() in path.read_bytes()]
    assert not [key for key in pipeline.objects() if TOKEN.encode() in pipeline.read(key)]
    output = capfd.readouterr()
    assert TOKEN not in f"{caplog.text}{output.out}{output.err}"
