"""The pipeline of the section *files*: order lines of TPC-H, revenue by day and by supplier."""

import pandera.pandas as pa
from pandera.engines.pandas_engine import Date

from fanfold import Files, Fold, Pipeline
from pipelines.order_lines import FOLDS, RANGES, VALUES, query


def _range(name: str) -> pa.Field:
    low, high = RANGES[name]
    return pa.Field(ge=low, le=high)


class OrderLine(pa.DataFrameModel):
    """A line of an order."""

    l_orderkey: int
    l_partkey: int
    l_suppkey: int
    l_linenumber: int = _range("l_linenumber")
    l_quantity: int = _range("l_quantity")
    l_extendedprice: float = _range("l_extendedprice")
    l_discount: float = _range("l_discount")
    l_tax: float = _range("l_tax")
    l_returnflag: str = pa.Field(isin=VALUES["l_returnflag"])
    l_linestatus: str = pa.Field(isin=VALUES["l_linestatus"])
    l_shipdate: Date
    l_commitdate: Date
    l_receiptdate: Date
    l_shipinstruct: str
    l_shipmode: str
    l_comment: str


PIPELINE = Pipeline(
    name="lineitem",
    noun=("order file", "订单文件"),
    source=Files(format="csv"),
    contract=OrderLine,
    key=("l_orderkey", "l_linenumber"),
    folds=[Fold(name, key=key, sql=query(name)) for name, (key, _) in FOLDS.items()],
)
