"""Pipelines run in the process, without a source."""

from __future__ import annotations

import pandera.pandas as pa

from fanfold import Api, Pipeline, testing


class Row(pa.DataFrameModel):
    station: str
    name: str
    value: int


def test_given_records_meet_the_attributes_of_the_items_and_an_item_without_is_missing():
    def named(record, item):
        yield {**record, "name": item.attributes["name"]}

    pipeline = Pipeline(
        name="named",
        noun="station",
        source=Api(path="/{key}"),
        contract=Row,
        key=("station",),
        item_column="station",
        check_item=str.upper,
        each=named,
    )
    items = [{"station": "K042", "name": "Northern ridge"}, {"station": "B107", "name": "Harbour"}]

    result = testing.run(pipeline, items, records={"k042": [{"value": 7}]})

    assert result.rows[["station", "name", "value"]].values.tolist() == [
        ["K042", "Northern ridge", 7]
    ]
    assert result.outcomes["status"].to_dict() == {"K042": "ok", "B107": "missing"}
