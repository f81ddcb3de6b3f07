"""docs/performance.md is made from figures."""

import re


def usage(seconds, **more):
    found = {"seconds": seconds, "cpu_s": 2 * seconds, "largest_mb": 100.0, "together_mb": 150.0}
    return {**found, "fetch_s": seconds / 2, **more}


def cell(contender, *seconds, items=10_000, **more):
    facts = {"contender": contender, "items": items, "latency_ms": 0, "in_flight": None}
    return {**facts, "rounds": [usage(each) for each in seconds], **more}


def test_each_marker_of_the_page_names_a_table_and_each_table_has_a_place():
    from page import PAGE
    from tables import TABLES

    named = re.findall(r"<!-- bench:([a-z-]+) -->", PAGE.read_text("utf-8"))
    assert sorted(named) == sorted(TABLES)


def test_filling_the_page_replaces_the_tables_and_nothing_else():
    from page import filled

    text = "Before.\n<!-- bench:clients -->\nold\n<!-- /bench -->\nAfter.\n"
    data = {"clients": {"fast": {"per_second": 9000, "cpu_ms": 0.1}}}
    once = filled(text, data)
    assert "old" not in once
    assert "| fast | 9,000 | 0.100 |" in once
    assert once.startswith("Before.\n<!-- bench:clients -->\n")
    assert once.endswith("\n<!-- /bench -->\nAfter.\n")
    assert filled(once, data) == once


def test_a_cell_is_a_median_and_its_ratio_to_the_baseline():
    from tables import matrix

    table = matrix({"matrix": {"a": cell("fanfold", 9, 30, 12), "b": cell("plain2", 8)}})
    assert "| Fanfold | 12.0 (×1.50) |" in table


def test_what_failed_or_was_not_run_is_told_and_leaves_the_rest():
    from tables import matrix, not_run

    data = {
        "matrix": {
            "a": cell("dlt", failed="exit code 1"),
            "b": cell("mapped", not_run="too slow"),
            "c": cell("plain2", 8, failed="the third round"),
        }
    }
    assert "| dlt | failed |" in matrix(data)
    assert "| Airflow, a task a user | – |" in matrix(data)
    assert "| requests, 2 processes | 8.00 (×1.00) |" in matrix(data)
    assert "- dlt, 10,000 users, 0 ms: failed: exit code 1." in not_run(data)
    assert "- Airflow, a task a user, 10,000 users, 0 ms: too slow." in not_run(data)
    assert "the third round" in not_run(data)


def test_a_goal_is_met_or_missed_by_its_ratio():
    from tables import goals

    found = {"a": cell("fanfold", 12), "b": cell("plain2", 8), "c": cell("dlt", 30)}
    lines = goals({"matrix": found}).splitlines()
    assert any("`requests` in two processes | ×1.50 | ×1.50 | yes" in line for line in lines)
    assert any("time of dlt | ×0.33 | ×0.40 | no" in line for line in lines)


def test_a_page_without_figures_says_so():
    from page import PAGE, filled

    machine = {"cores": 2, "memory_gb": 24, "processor": "x", "python": "3", "system": "y"}
    page = filled(PAGE.read_text("utf-8"), {"machine": {**machine, "day": "2026-11-24"}})
    assert page.count("Not measured.") == 10


def test_figures_are_kept_after_each_step_and_added_to(tmp_path):
    from results import Results

    path = tmp_path / "figures.json"
    Results(path).keep("matrix", "a", cell("dlt", 1))
    Results(path).keep("matrix", "b", cell("fanfold", 2))
    assert set(Results(path).data["matrix"]) == {"a", "b"}
