"""Charts of an author: errors that name the chart, findings, values as JSON, languages."""

import json

import pytest

from fanfold.errors import BadPipeline
from fanfold.pipeline import Chart
from fanfold.stages.reporting.charts import charts_of, check_charts
from fanfold.stages.reporting.data import json_value
from fanfold.stages.reporting.specs import table_columns

X = {"field": "city", "type": "nominal"}
Y = {"field": "count", "type": "quantitative"}


def chart(spec, sql="FROM dataset", **options):
    return Chart("Bars", sql=sql, spec=spec, **options)


def with_x(**changes):
    return {"mark": "bar", "encoding": {"x": {**X, **changes}, "y": Y}}


WRONG = {
    "syntax": (chart(with_x(), sql="FORM dataset"), "syntax error"),
    "column in SQL": (chart(with_x(), sql="SELECT town FROM dataset"), '"town" not found'),
    "values": (chart(with_x(), values="FROM nowhere"), "values: Catalog Error"),
    "column": (chart(with_x(field="town")), "'town', which is no column of its query; columns: ci"),
    "column of a language": (chart(with_x(field=("city", "chengshi"))), "'chengshi', which is no"),
    "column of a condition": (
        chart(with_x() | {"transform": [{"filter": "datum.cuont > 1"}]}),
        "'cuont', which is no column",
    ),
    "name in the finding": (chart(with_x(), finding="{town}"), "its finding names 'town'"),
    "format": (chart(with_x(), finding="{city:percent}"), "cannot write 'Oslo' as 'city:percent'"),
    "mark": (chart(with_x() | {"mark": "bra"}), "mark: 'bra' is not one of"),
    "type": (chart(with_x(type="nominl")), "encoding.x.type: 'nominl' is not one of"),
    "property": (chart(with_x(axis={"tilte": "City"})), "encoding.x.axis: Additional properties"),
    "no mark": (chart({"encoding": {"x": X}}), "at its top: 'mark' is a required property"),
    "layer": (chart({"layer": [with_x(), {"mark": "rul"}]}), "layer[1].mark: 'rul' is not one of"),
    "no JSON": (chart(with_x(title={1, 2})), "its spec is not JSON"),
    "URL": (chart({"data": {"url": "x.csv"}, **with_x()}), "a report loads nothing"),
}


@pytest.mark.parametrize(("wrong", "reason"), WRONG.values(), ids=WRONG)
def test_an_authors_error_names_pipeline_chart_and_place(
    wrong, reason, pipeline_with, bars, tables, tmp_path
):
    with pytest.raises(BadPipeline) as caught:
        check_charts(pipeline_with(bars(), wrong), tables, tmp_path / "spill")
    assert str(caught.value).startswith("Chart 'Bars' of pipeline 'sales'")
    assert reason in str(caught.value)


RIGHT = {
    "made by a transform": {
        "transform": [
            {"calculate": "datum.count / 2", "as": "half"},
            {"fold": ["half", "count"]},
            {"window": [{"op": "sum", "field": "value", "as": "running"}], "groupby": ["key"]},
        ],
        "mark": "line",
        "encoding": {"x": X, "y": {"field": "running", "type": "quantitative"}},
    },
    "pivoted": {
        "transform": [{"pivot": "city", "value": "count", "groupby": ["day"]}],
        "mark": "point",
        "encoding": {"x": {"field": "Oslo", "type": "quantitative"}},
    },
    "repeated": {
        "repeat": {"column": ["count", "share"]},
        "spec": {"mark": "bar", "encoding": {"x": X, "y": {"field": {"repeat": "column"}}}},
    },
    "values in the specification": {
        "layer": [
            with_x(),
            {
                "data": {"values": [{"limit": 3}]},
                "mark": "rule",
                "encoding": {"y": {"field": "limit", "type": "quantitative"}},
            },
        ]
    },
    "facets": {"facet": {"field": "city"}, "spec": {"mark": "bar", "encoding": {"y": Y}}},
    "own parameters": {
        "params": [{"name": "brush", "select": "interval"}],
        **with_x(title=("City", "城市")),
    },
}


@pytest.mark.parametrize("spec", RIGHT.values(), ids=RIGHT)
@pytest.mark.parametrize("sql", ["FROM dataset", "FROM by_city WHERE false"])
def test_a_right_chart_passes_with_rows_and_without(spec, sql, pipeline_with, tables, tmp_path):
    check_charts(pipeline_with(chart(spec, sql=sql)), tables, tmp_path / "spill")


def drawn(pipeline, tables, tmp_path):
    (drawing,) = charts_of(pipeline, tables, tmp_path / "spill")
    return drawing


def test_a_finding_writes_its_values_as_each_language_does(pipeline_with, bars, tables, tmp_path):
    finding = (
        "{city} {day} {at} {count} {count:short} {share} {share:percent}",
        "{count:short}，{city}",
    )
    made = bars(finding=finding)
    english, chinese = drawn(pipeline_with(made), tables, tmp_path).finding
    assert english == "Oslo 2026-03-01 2026-03-01 12:00 UTC 1,234,567 1.23M 0.123 12.3%"
    assert chinese == "123万，Oslo"


def test_a_finding_takes_its_values_from_their_own_query(pipeline_with, bars, tables, tmp_path):
    made = bars(finding="{cities} cities", values="SELECT count(city) AS cities FROM by_city")
    assert drawn(pipeline_with(made), tables, tmp_path).finding.en == "2 cities"


@pytest.mark.parametrize("unknown", ["NULL::INT", "'nan'::DOUBLE"])
def test_a_finding_without_one_of_its_values_is_left_out(
    unknown, pipeline_with, bars, tables, tmp_path
):
    made = bars(finding="{most} of {n}", values=f"SELECT 1 AS n, {unknown} AS most")
    assert drawn(pipeline_with(made), tables, tmp_path).finding is None


def test_a_chart_of_nothing_but_nulls_has_no_data(pipeline_with, bars, tables, tmp_path):
    made = bars("SELECT city, NULL::INT AS count FROM dataset", finding="First: {city}")
    drawing = drawn(pipeline_with(made), tables, tmp_path)
    assert (drawing.rows.rows, drawing.finding) == ([], None)


def test_a_pair_of_columns_is_drawn_and_listed_by_language(pipeline_with, tables, tmp_path):
    axis = {"title": ["Number of", "orders"]}
    spec = {"mark": "bar", "encoding": {"y": {"field": ("en", "zh")}, "x": {**Y, "axis": axis}}}
    pipeline = pipeline_with(
        chart(spec, sql="SELECT 'a' AS en, '甲' AS zh, 1 AS count, 2 AS other")
    )
    check_charts(pipeline, tables, tmp_path / "spill")
    drawing = drawn(pipeline, tables, tmp_path)
    fields = [drawing.specs[each]["encoding"]["y"]["field"] for each in ("en", "zh")]
    assert fields == ["en", "zh"]
    assert drawing.specs["zh"]["encoding"]["x"]["axis"] == axis
    listed = table_columns(drawing.specs, drawing.rows.columns)
    assert [[each.title for each in listed[language]] for language in ("en", "zh")] == [
        ["en", "count", "other"],
        ["zh", "count", "other"],
    ]


def test_a_layer_draws_the_values_of_the_finding(pipeline_with, tables, tmp_path):
    rule = {"data": {"name": "values"}, "mark": "rule", "encoding": {"y": {"field": "mean"}}}
    made = chart({"layer": [with_x(), rule]}, values="SELECT 2 AS mean")
    check_charts(pipeline_with(made), tables, tmp_path / "spill")
    assert drawn(pipeline_with(made), tables, tmp_path).values == {"mean": 2}


def test_values_are_exact_or_text(pipeline_with, bars, tables, tmp_path):
    rows = drawn(pipeline_with(bars()), tables, tmp_path).rows
    assert [[json_value(value) for value in row] for row in rows.rows] == [
        ["Oslo", "2026-03-01", "2026-03-01T12:00:00", 1.1, 1_234_567, 0.123456],
        ["Bergen", "2026-03-02", None, "12345678901234567890.12", str(2**60), None],
        [None] * 6,
    ]
    assert rows.kinds == ["text", "date", "time", "number", "number", "number"]


def test_rows_are_cut_off(pipeline_with, bars, tables, tmp_path):
    sql = "SELECT range AS count, 'a' AS city FROM range(5001)"
    rows = drawn(pipeline_with(bars(sql)), tables, tmp_path).rows
    assert (len(rows.rows), rows.cut) == (5000, True)


def test_texts_are_in_one_language_and_dates_are_days(pipeline_with, tables, tmp_path):
    day = {"field": "day", "type": "temporal", "axis": {"title": ("Day", "日期")}}
    made = chart({"mark": "line", "encoding": {"x": day, "y": Y}})
    specs = drawn(pipeline_with(made), tables, tmp_path).specs
    titles = [specs[language]["encoding"]["x"]["axis"]["title"] for language in ("en", "zh")]
    assert titles == ["Day", "日期"]
    formats = [specs[language]["encoding"]["x"]["axis"]["format"]["date"] for language in specs]
    assert formats == ["%b %-d", "%-m月%-d日"]
    assert specs["en"]["data"]["format"]["parse"] == {"day": "date:'%Y-%m-%d'"}


def test_a_scale_in_utc_does_not_move_times_by_the_zone_of_the_browser(
    pipeline_with, tables, tmp_path
):
    x = {"field": "at", "type": "temporal", "scale": {"type": "utc"}, "timeUnit": "utchours"}
    made = chart({"mark": "line", "encoding": {"x": x, "y": Y}})
    spec = drawn(pipeline_with(made), tables, tmp_path).specs["en"]["encoding"]["x"]
    assert (spec["scale"]["type"], spec["timeUnit"]) == ("time", "hours")


@pytest.mark.parametrize(
    ("spec", "filters"),
    [
        (with_x() | {"encoding": {"x": X, "color": X}}, 1),
        ({"encoding": {"color": X}, "layer": [{"mark": "line"}, {"mark": "point"}]}, 2),
        ({"facet": {"field": "city"}, "spec": {"mark": "bar", "encoding": {"color": X}}}, 1),
        ({"mark": "bar", "encoding": {"color": Y}}, 0),
        ({"mark": "bar", "encoding": {"color": {**X, "legend": None}}}, 0),
        ({"mark": "bar", "encoding": {"color": X}, "params": []}, 0),
        ({"mark": "boxplot", "encoding": {"y": Y, "color": X}}, 0),
    ],
)
def test_a_legend_of_categories_filters(spec, filters, pipeline_with, tables, tmp_path):
    pipeline = pipeline_with(chart(spec))
    check_charts(pipeline, tables, tmp_path / "spill")
    text = json.dumps(drawn(pipeline, tables, tmp_path).specs["en"])
    assert text.count('"bind": "legend"') == min(filters, 1)
    assert text.count('"param": "legend"') == filters
