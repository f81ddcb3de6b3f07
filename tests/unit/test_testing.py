"""Pipelines run in the process, without a source."""

from __future__ import annotations

import pandera.pandas as pa
import pytest

from fanfold import Api, Files, Pipeline, testing
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


def test_files_are_named_by_path_or_uri_with_their_facts_and_one_that_is_not_there_is_missing(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a b.csv").write_text("Value,name,station\n1,x,K042\n")
    (tmp_path / "b.jsonl").write_text('{"station": "B107", "name": "y", "value": 2}\n')
    here = f"file://{tmp_path}"
    pipeline = pipeline_of(source=Files(), item_column="file")
    items = ["a b.csv", f"{here}/b.jsonl", {"file": "c.csv"}, {"file": "b.jsonl", "etag": "other"}]

    result = testing.run(pipeline, items[:3])

    assert result.rows[["station", "name", "value"]].values.tolist() == [
        ["K042", "x", 1],
        ["B107", "y", 2],
    ]
    statuses = {f"{here}/a b.csv": "ok", f"{here}/b.jsonl": "ok", f"{here}/c.csv": "missing"}
    assert result.outcomes["status"].to_dict() == statuses
    assert list(testing.run(pipeline, items[3:]).outcomes["status"]) == ["failed"]


def test_given_records_of_files_are_read_as_files_are():
    names = {"station": "station", "name": "name", "value": "Wert"}
    pipeline = pipeline_of(source=Files(columns=names), item_column="file")
    common = {"station": "K042", "name": "a", "more": "1"}
    records = {
        "s3://b/1.csv.gz": [{**common, "Wert": "7"}, {**common, "Wert": "x"}],
        "s3://b/2.csv": [],
    }

    result = testing.run(pipeline, records=records)

    assert result.rows["value"].tolist() == [7]
    assert list(result.rejected["value"]) == ["x"]
    assert list(result.outcomes["status"]) == ["ok", "ok"]


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
