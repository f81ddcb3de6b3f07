"""The sum of an array of numbers, computed concurrently: the smallest pipeline.

An item is a number (``7``) or a range of integers (``0-999999``, both ends included). Each is summed
in a process of its own; the fold adds up.
"""

from __future__ import annotations

import re
from typing import Any

import pandera.pandas as pa
from pandera.engines.pandas_engine import Decimal

from fanfold import Chart, Compute, Fold, Item, Pipeline
from pipelines._chart_parts import bars, nominal, quantity

_ITEM = re.compile(r"(-?[0-9]{1,18})(?: *- *([0-9]{1,18}))?")


class PartialSum(pa.DataFrameModel):
    """The sum of one item."""

    item: str
    numbers: int = pa.Field(ge=1)
    total: Decimal = pa.Field(dtype_kwargs={"precision": 38, "scale": 0})


def check_item(text: str) -> str:
    """Return a number or range in canonical form."""
    found = _ITEM.fullmatch(text.strip())
    if not found or (found[2] and int(found[2]) < int(found[1])):
        raise ValueError("an item is an integer (7) or a range of integers (0-999999)")
    return "-".join(str(int(number)) for number in found.groups() if number)


def add_up(item: Item) -> dict[str, Any]:
    """Return the sum of the numbers of an item."""
    # "-3-7" is a range, too.
    first, _, last = item.key[1:].partition("-")
    numbers = range(int(item.key[0] + first), int(last or item.key) + 1)
    return {"numbers": len(numbers), "total": sum(numbers)}


PIPELINE = Pipeline(
    name="concurrent_sum",
    noun=("number", "数"),
    source=Compute(add_up),
    contract=PartialSum,
    key=("item",),
    check_item=check_item,
    dataset="partial_sums",
    folds=[
        Fold(
            "total_sum",
            key=("items",),
            sql="""
                SELECT 'all' AS items, sum(numbers)::BIGINT AS numbers, sum(total) AS total
                FROM dataset HAVING count(*) > 0""",
        )
    ],
    charts=[
        Chart(
            ("Largest sums", "最大的部分和"),
            sql="SELECT item, total FROM dataset ORDER BY total DESC, item LIMIT 20",
            spec=bars(
                nominal("item", "Item", "条目"),
                quantity("total", "Sum", "和"),
                quantity("total", "Sum", "和"),
            ),
            finding=(
                "Numbers added up: {numbers}. Their sum: {total}.",
                "共 {numbers} 个数，总和为 {total}。",
            ),
            values="FROM total_sum",
        )
    ],
    measure="total",
)
