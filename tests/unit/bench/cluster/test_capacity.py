"""docs/scaling.md is made from the simulation, and the simulation told what was measured."""

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[4]
PAGE = REPOSITORY / "docs" / "scaling.md"
PERFORMANCE = (REPOSITORY / "docs" / "performance.md").read_text("utf-8")
MEASURED_BY_HAND = "measured"
"""The mark whose figures another command makes: bench/cluster/measure.py."""


def test_each_mark_of_the_page_names_a_table_and_each_table_has_a_place():
    from capacity import TABLES

    marks = re.findall(r"<!-- bench:cluster-([a-z]+) -->", PAGE.read_text("utf-8"))
    assert sorted(marks) == sorted([*TABLES, MEASURED_BY_HAND])


def test_filling_the_page_replaces_its_tables_and_nothing_else():
    from capacity import filled

    page = "a\n<!-- bench:cluster-plan -->\nold\n<!-- /bench -->\nb\n<!-- bench:cluster-measured -->\nkept\n<!-- /bench -->\n"
    assert filled(page, {"plan": "new"}) == page.replace("old", "new")


def test_settings_that_the_simulation_starts_from_are_those_of_the_cluster():
    """A parameter that names config/cluster.env has the value that stands there."""
    from parameters import sources

    env = (REPOSITORY / "config" / "cluster.env").read_text("utf-8")
    named = {
        source.partition("config/cluster.env, ")[2]: value
        for value, source in sources().values()
        if source.startswith("config/cluster.env, ")
    }
    assert len(named) == 5
    for name, value in named.items():
        found = re.search(rf"^AIRFLOW__[A-Z]+__(?:[A-Z]+_)*{name}=([\d.]+)$", env, re.MULTILINE)
        assert found, name
        assert float(found[1]) == value, name


def test_a_parameter_that_does_not_exist_or_is_no_number_is_named():
    from parameters import Cluster

    with pytest.raises(ValueError, match="no parameters of the simulation: slotz"):
        Cluster().changed({"slotz": 3})
    for wrong in (-1, True, "3", float("nan")):
        with pytest.raises(ValueError, match="slots is"):
            Cluster().changed({"slots": wrong})


def test_the_runs_that_were_measured_are_simulated_within_a_fifth():
    """Three long ones, and the three that the model of docs/performance.md is checked with."""
    from measured import on_page

    found = on_page(PERFORMANCE)
    assert len(found) == 6
    for row in found:
        assert abs(row.error) < 0.2, row.what


def test_the_rows_of_a_benchmark_are_simulated_as_they_were_run(tmp_path):
    from measured import in_file, read, with_overhead
    from parameters import Cluster

    path = tmp_path / "cluster.json"
    path.write_text(
        '{"machine": {"cores": 2}, "overhead": {"task_cpu_s": 0.5, "note": "of another bench"},'
        ' "rows": [{"workers": 2, "slots": 4, "items": 2000, "latency_ms": 100, "seconds": 60}]}'
    )
    data = read(path)
    cluster = with_overhead(Cluster(), data)
    assert cluster.task_cpu_s == 0.5
    (row,) = in_file(cluster, data)
    assert row.what == "2 × 4 slots, 2,000 items, 100 ms"
    assert row.error == pytest.approx(row.simulated / 60 - 1)


def test_a_file_that_is_no_object_is_refused(tmp_path):
    from measured import read

    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(ValueError, match=r"list\.json holds no JSON object"):
        read(tmp_path / "list.json")


def test_the_cost_of_a_look_comes_back_from_looks_that_obey_it():
    from scheduling import plane

    looks = [
        (n, w, 0.02 + 0.0003 * n + 0.003 * w) for n, w in [(7, 0), (107, 50), (407, 0), (907, 450)]
    ]
    assert plane(looks) == pytest.approx((0.02, 0.0003, 0.003))


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(7.25, "7.2 s"), (90, "90 s"), (1800, "30 min"), (5400, "90 min"), (9000, "2 h 30 min")],
)
def test_times_are_written_as_people_say_them(seconds, said):
    from reports import time

    assert time(seconds) == said
