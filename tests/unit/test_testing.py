"""Pipelines run in the process, without a source."""

from __future__ import annotations

import pandera.pandas as pa
import pytest

from fanfold import Api, Pipeline, testing
from fanfold.errors import BadPipeline


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


def pipeline_of(**changed):
    fields = {"noun": "station", "source": Api(path="/{key}"), "contract": Row, "key": ("station",)}
    return Pipeline(**{"name": "named", "item_column": "station", **fields, **changed})


def test_rows_with_the_key_of_another_row_are_counted_and_a_column_not_returned_is_named():
    rows = [{"name": "a", "value": 1}, {"name": "b", "value": 2}, {"name": "c"}]
    result = testing.run(pipeline_of(), records={"K042": rows})
    assert (result.manifest.rows, result.manifest.repeated) == (2, 1)
    (lost,) = testing.run(pipeline_of(), records={"K042": [{"value": 3}]}).rejected["rule"]
    assert lost == "is a column of the rows"


@pytest.mark.parametrize("kind", ["transform", "each"])
def test_a_parameter_that_the_engine_does_not_know_is_refused(kind):
    def rows(records, stations, item=None, items=None):  # noqa: ARG001 - the parameters matter
        raise AssertionError

    with pytest.raises(BadPipeline, match=r"rows\(\) has a parameter 'stations'; .* as_of"):
        pipeline_of(**{kind: rows})
