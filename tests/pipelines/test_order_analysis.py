"""Order analysis: every total against pandas, through late and corrected files."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.pandas as pa
import pytest
from pandera.engines.pandas_engine import Decimal as DecimalType  # noqa: TC002 - pandera reads it

from fanfold import Files, Fold, Pipeline, testing
from fanfold.simulator import shop
from pipelines.order_analysis import PIPELINE

TODAY, DAYS = date(2026, 11, 27), 36
AS_OF = datetime(2026, 11, 27, 4, tzinfo=UTC)
LAST = date(2026, 11, 26)
"""The last whole day before the run; in Parquet, which has UTC, some orders are of the next day."""
DATA = Path(__file__).parent / "data"


def run(paths, **options):
    # Files of one kind after each other are decoded together.
    ordered = sorted(map(str, paths), key=lambda path: (path.rpartition("/")[2], path))
    return testing.run(PIPELINE, ordered, as_of=AS_OF, charts=False, **options)


def write(folder, files):
    """Write files; return the paths of those that are new or changed."""
    changed = []
    for name, content in files:
        path = folder / name
        if not path.exists() or path.read_bytes() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            changed.append(path)
    return changed


def same(one, other, *, but=("as_of",)):
    pd.testing.assert_frame_equal(one.drop(columns=list(but)), other.drop(columns=list(but)))


# --- the whole shop -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def faultless(tmp_path_factory):
    """The second delivery of a shop whose lines are all readable, and its lines by pandas."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shop, "FLAWS", 10**9)
        files = dict(shop.delivery(TODAY, 2, DAYS))
        result = run(write(tmp_path_factory.mktemp("shop"), files.items()))
    days = [date.fromordinal(TODAY.toordinal() - age) for age in range(1, DAYS + 2)]
    lines = [
        line | {"channel": channel}
        for day in days
        for channel in shop.CHANNELS
        for line in shop.lines(day, channel)
    ]
    return result, expected_lines([*lines, *shop.goodwill(days[0], 2)])


def expected_lines(lines):
    """Return the newest version of each line and refund, without those that were cancelled."""
    frame = pd.DataFrame(lines)
    refund = frame["refund_id"].notna()
    amount = [
        Decimal(str(given).strip("'")) if is_refund else quantity * Decimal(price)
        for given, is_refund, quantity, price in zip(
            frame["amount"], refund, frame["quantity"], frame["unit_price"], strict=True
        )
    ]
    when = frame["refunded_at"].where(refund, frame["ordered_at"])
    in_utc = frame["channel"].eq("market.parquet")
    frame = frame.assign(
        sale=~refund,
        event=frame["refund_id"].where(refund, "sale"),
        amount=amount,
        # Parquet has instants, the other files the clock of the customer.
        day=pd.to_datetime(when, utc=True).dt.strftime("%Y-%m-%d").where(in_utc, when.str[:10]),
        updated=pd.to_datetime(frame["updated_at"], utc=True),
    ).sort_values("updated", kind="stable")
    newest = frame.drop_duplicates(["order_id", "line", "event"], keep="last")
    cancelled = newest[newest["sale"] & newest["status"].eq("cancelled")]
    kept = newest.merge(
        cancelled[["order_id", "line"]], on=["order_id", "line"], how="left", indicator=True
    )
    kept = kept[kept["_merge"].eq("left_only")]
    return newest, kept.assign(day=pd.to_datetime(kept["day"]).dt.date)


def sums(kept, by):
    """Return the sums of lines by some columns: what the folds call orders, sales, refunds, revenue."""
    sale = kept["sale"]
    amounts = kept["amount"].map(float)
    made = kept.assign(
        order=kept["order_id"].where(sale), sales=amounts.where(sale, 0.0),
        refunds=-amounts.where(~sale, 0.0), revenue=amounts, units=kept["quantity"],
    )  # fmt: skip
    groups = made.groupby(by)
    return (
        groups[["units", "sales", "refunds", "revenue"]]
        .sum()
        .assign(orders=groups["order"].nunique())
    )


def check_sums(fold, expected, *, but=()):
    names = [name for name in ("orders", "units", "sales", "refunds", "revenue") if name not in but]
    found = fold.set_index(list(expected.index.names))[names].astype(float).sort_index()
    pd.testing.assert_frame_equal(
        found, expected[names].astype(float).sort_index(), check_dtype=False, check_index_type=False
    )


def test_each_line_and_refund_of_the_shop_is_in_the_dataset_once(faultless):
    result, (newest, _) = faultless
    assert set(result.outcomes["status"]) == {"ok"}
    assert len(result.rejected) == 0
    found = result.rows.set_index(["order_id", "line", "event"])["amount"]
    expected = newest.assign(line=newest["line"].astype(int)).set_index(
        ["order_id", "line", "event"]
    )["amount"]
    assert found.to_dict() == expected.to_dict()
    assert found.index.is_unique
    assert result.manifest.superseded > 100
    assert set(result.rows["currency"]) == {"CNY", "EUR", "USD"}


def test_revenue_by_day_and_category_is_that_of_pandas(faultless):
    result, (newest, kept) = faultless
    by_day = result.folds["revenue_by_day"]
    check_sums(by_day[by_day["orders"] > 0], sums(kept, ["day", "currency"]).query("orders > 0"))
    check_sums(result.folds["revenue_by_category"], sums(kept, ["day", "category", "currency"]))
    lost = newest[newest["sale"] & newest["status"].eq("cancelled")]
    assert by_day["cancelled_orders"].sum() == lost["order_id"].nunique() > 5
    basket = (by_day["sales"].astype(float) / by_day["orders"]).round(2)
    np.testing.assert_allclose(by_day["average_basket"].astype(float), basket, atol=0.011)


def test_products_are_those_of_pandas(faultless):
    result, (_, kept) = faultless
    products = result.folds["products"]
    check_sums(products, sums(kept, ["currency", "product_id"]))
    recent = kept[kept["day"].between(LAST - timedelta(days=27), LAST)]
    found = products.groupby("currency")["revenue_28_days"].sum().to_dict()
    assert found == recent.groupby("currency")["amount"].sum().to_dict()
    rate = (products["refunds"] / products["sales"]).astype(float)
    np.testing.assert_allclose(products["refund_rate"].astype(float), rate, atol=0.0001)


def test_customers_have_recency_frequency_and_money_of_pandas(faultless):
    result, (_, kept) = faultless
    customers = result.folds["customers"].set_index(["customer_id", "currency"])
    sales = kept[kept["sale"]].groupby(["customer_id", "currency"])
    money = kept.groupby(["customer_id", "currency"])["amount"].sum().loc[list(sales.groups)]
    assert customers["orders"].to_dict() == sales["order_id"].nunique().to_dict()
    assert customers["last_day"].to_dict() == sales["day"].max().to_dict()
    assert customers["revenue"].to_dict() == money.to_dict()
    assert set(customers["recency_days"]) == {
        max((LAST - day).days, 0) for day in customers["last_day"]
    }
    for score, values in (("money_score", "revenue"), ("frequency_score", "orders")):
        of_eur = customers.xs("EUR", level="currency").assign(
            value=lambda each, name=values: each[name].astype(float)
        )
        assert of_eur[score].between(1, 5).all()
        ordered = of_eur.groupby(score)["value"].agg(["min", "max"])
        assert (ordered["max"].iloc[:-1].to_numpy() < ordered["min"].iloc[1:].to_numpy()).all()


def test_repeat_rate_counts_customers_by_the_month_of_their_first_order(faultless):
    result, (_, kept) = faultless
    orders = kept[kept["sale"]].groupby(["customer_id", "order_id"])["day"].min().reset_index()
    days = orders.sort_values("day").groupby("customer_id")["day"].agg(list)
    first, again = days.str[0], days.str[1]
    month = first.map(lambda day: day.replace(day=1))
    old = first.map(lambda day: (LAST - day).days >= 30)
    soon = old & (pd.to_datetime(again) - pd.to_datetime(first)).dt.days.le(30)
    fold = result.folds["repeat_rate"].set_index("month")
    for name, counted in (
        ("customers", first.notna()), ("returned", again.notna()),
        ("customers_30_days", old), ("returned_30_days", soon),
    ):  # fmt: skip
        assert fold[name].to_dict() == counted.groupby(month).sum().to_dict(), name
    assert 0 < fold["repeat_rate_30_days"].astype(float).max() < 1


def test_a_late_and_a_corrected_file_make_every_total_right(tmp_path):
    """The first delivery lacks a file, has a wrong one and a damaged one, and broken lines."""
    first = run(write(tmp_path, shop.delivery(TODAY, 1, 4)))
    assert first.outcomes["status"].value_counts().to_dict()["invalid"] == 1
    assert "261125-9999" in set(first.rows["order_id"])
    changed = write(tmp_path, shop.delivery(TODAY, 2, 4))
    assert {path.name for path in changed} >= {*shop.CHANNELS, "refunds-2.csv"}
    second = run(changed, after=first)
    whole = run(path for path in tmp_path.rglob("*") if path.is_file())
    same(second.rows, whole.rows)
    for name, fold in whole.folds.items():
        same(second.folds[name], fold)
        assert not fold.equals(first.folds[name])
    assert "261125-9999" not in set(second.rows["order_id"])
    assert second.manifest.pending == 0
    # A run of files that are already there changes nothing.
    same(run(changed[:2], after=second).rows, whole.rows)


# --- exports of other systems ----------------------------------------------------------------

SHOPIFY = """\
Name,Email,Financial Status,Paid at,Currency,Lineitem quantity,Lineitem name,Lineitem price,Lineitem sku,Lineitem discount,Created at,Cancelled at,Shipping Zip
#1001,ann@example.org,paid,2026-03-01 09:00:00 +0800,EUR,3,Tea,34.90,T-1,4.70,2026-03-01 00:30:00 +0800,,'75008
#1001,,,,,1,Cup,12.00,,0.00,,,
#1002,bob@example.org,paid,,EUR,1,Tea,34.90,T-1,0.00,2026-03-01 10:00:00 +0800,2026-03-02 10:00:00 +0800,
"""
AMAZON = """\
amazon-order-id\tpurchase-date\tlast-updated-date\torder-status\tproduct-name\tsku\tasin\tquantity\tcurrency\titem-price
305-1\t2026-03-01T10:00:00+00:00\t2026-03-01T11:00:00+00:00\tShipped\tTea\tT-1\tB0\t4\tEUR\t39.80
305-2\t2026-03-01T12:00:00+00:00\t2026-03-01T12:00:00+00:00\tPending\tCup\tC-1\tB1\t1\tEUR\t12.00
"""
LATER = """\
amazon-order-id\tpurchase-date\tlast-updated-date\torder-status\tproduct-name\tsku\tasin\tquantity\tcurrency\titem-price
305-2\t2026-03-01T12:00:00+00:00\t2026-03-02T12:00:00+00:00\tCancelled\tCup\tC-1\tB1\t1\tEUR\t
"""
WOOCOMMERCE = """\
order_number,order_date,status,order_currency,item_id,item_sku,item_name,item_quantity,item_total
71,2026-03-01 10:00:00,completed,EUR,501,T-1,Tea,2,19.80
71,2026-03-05 10:00:00,completed,EUR,501,T-1,Tea,'-1,'-9.90
"""


def export(tmp_path, *texts, **options):
    paths = [tmp_path / f"{number}.csv" for number in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text, "utf-8")
    pipeline = replace(PIPELINE, source=replace(PIPELINE.source, **options))
    result = testing.run(pipeline, map(str, paths), as_of=AS_OF, charts=False)
    assert len(result.rejected) == 0
    (by_day,) = (result.folds["revenue_by_day"].astype({"day": str}).set_index("day"),)
    return result.rows, by_day[["orders", "sales", "refunds", "cancelled_orders"]].T.to_dict("list")


def test_shopify_fields_of_an_order_are_those_of_its_first_row(tmp_path):
    rows, by_day = export(tmp_path, SHOPIFY)
    assert list(rows["customer_id"]) == ["ann@example.org", "ann@example.org", "bob@example.org"]
    assert list(rows["line"]) == [1, 2, 1]
    assert list(rows["status"]) == ["paid", "paid", "cancelled"]
    assert by_day == {"2026-03-01": [1, Decimal("112.0000"), 0, 1]}


def test_amazon_prices_are_for_the_whole_quantity_and_a_later_status_wins(tmp_path):
    # Whatever the names of the files: the file with the later status sorts first.
    rows, by_day = export(tmp_path, LATER, AMAZON, delimiter="\t")
    assert list(rows["status"]) == ["cancelled", "shipped"]
    assert by_day == {"2026-03-01": [1, Decimal("39.8000"), 0, 1]}


def test_woocommerce_refunds_are_negative_amounts_behind_an_apostrophe(tmp_path):
    rows, by_day = export(tmp_path, WOOCOMMERCE)
    assert list(rows["quantity"]) == [2, -1]
    assert by_day == {
        "2026-03-01": [1, Decimal("19.8000"), 0, 0],
        "2026-03-05": [0, 0, Decimal("9.9000"), 0],
    }


def test_a_refund_is_negative_and_has_a_row_of_its_own_however_the_file_writes_it():
    sale = {
        "order_id": "1",
        "line": "1",
        "ordered_at": "2026-03-01",
        "quantity": "1",
        "currency": "EUR",
    }
    refunds = [
        {"amount": "7.10", "refund_id": "R1", "refunded_at": "2026-03-05T00:30:00+08:00"},
        {"amount": "'-7.10", "refund_id": "R2"},
        {"amount": -7.1, "quantity": -1},
        {"unit_price": 7.1, "refunded_at": "2026-03-06"},
    ]
    lines = [sale | {"amount": "71"}, *(sale | refund for refund in refunds)]
    rows = testing.run(PIPELINE, records={"s3://b/a.csv": lines}, charts=False).rows
    assert list(rows["event"]) == ["sale", "R1", "R2", "refund 2026-03-01", "refund 2026-03-06"]
    assert list(rows["amount"]) == [71, *[Decimal("-7.1")] * 4]
    assert list(rows["quantity"]) == [1, -1, -1, -1, -1]
    assert list(rows["day"].astype(str).str[-2:]) == ["01", "05", "01", "01", "06"]


def test_a_value_that_may_mean_something_else_rejects_its_line():
    good = {
        "order_id": "1", "line": "1", "ordered_at": "2026-03-01", "quantity": "1", "amount": "5",
        "currency": "EUR",
    }  # fmt: skip
    bad = [
        ("amount", "1.234,50"), ("amount", "0.00001"), ("quantity", "two"), ("quantity", "1.5"),
        ("quantity", "２"), ("amount", "５"), ("happened_at", "31/12/2026"), ("currency", "€"), ("line", "first"),
    ]  # fmt: skip
    names = {"happened_at": "ordered_at"}
    lines = [
        good | {"order_id": str(number), names.get(column, column): value}
        for number, (column, value) in enumerate(bad, 2)
    ]
    result = testing.run(PIPELINE, records={"s3://b/a.csv": [good, *lines]}, charts=False)
    assert list(result.rows["order_id"]) == ["1"]
    found = result.rejected[["row", "column", "value"]].to_numpy().tolist()
    assert found == [[row, column, value] for row, (column, value) in enumerate(bad, 2)]


# --- real data --------------------------------------------------------------------------------


def test_superstore_sums_by_group_are_those_of_pandas(tmp_path):
    lines = pd.read_csv(DATA / "superstore.csv.gz")
    path = tmp_path / "superstore.csv.gz"
    lines.rename(
        columns={"Category": "category", "Sub-Category": "product", "Sales": "amount"}
    ).assign(order_id=lines.index, ordered_at="2026-03-01T10:00:00-05:00", currency="USD").to_csv(
        path
    )
    result = run([path])
    assert len(result.rows) == 9994
    for fold, column, group in (
        ("revenue_by_category", "category", "Category"), ("products", "product", "Sub-Category"),
    ):  # fmt: skip
        found = result.folds[fold].set_index(column)[["revenue", "units"]].astype(float)
        expected = lines.groupby(group)[["Sales", "Quantity"]].sum()
        np.testing.assert_allclose(found.sort_index(), expected.sort_index(), rtol=1e-12)


def test_equal_rows_of_cdnow_are_all_kept_with_item_and_row_as_the_key():
    """Two equal purchases of a customer on a day are two purchases."""

    class Purchase(pa.DataFrameModel):
        item: str
        row: int
        customer_id: str
        date: str
        dollar_value: DecimalType = pa.Field(dtype_kwargs={"precision": 12, "scale": 2})

    by_customer = Fold(
        "money",
        key=("customer_id",),
        sql="SELECT customer_id, count(*) AS purchases, sum(dollar_value) AS money FROM dataset GROUP BY ALL",
    )
    pipeline = Pipeline(
        name="purchases", noun="file", source=Files(), contract=Purchase, key=("item", "row"),
        mode="merge", folds=[by_customer],
    )  # fmt: skip
    path = DATA / "cdnow.csv.gz"
    first = testing.run(pipeline, [str(path)])
    again = testing.run(pipeline, [str(path)], after=first)
    expected = pd.read_csv(path, dtype=str)
    assert expected.duplicated().sum() == 255
    groups = expected.assign(money=expected["dollar_value"].map(Decimal)).groupby("customer_id")
    for result in (first, again):
        assert len(result.rows) == len(expected) == 2696
        assert result.manifest.repeated == 0
        money = result.folds["money"].set_index("customer_id")
        assert money["money"].to_dict() == groups["money"].sum().to_dict()
        assert money["purchases"].to_dict() == groups.size().to_dict()
