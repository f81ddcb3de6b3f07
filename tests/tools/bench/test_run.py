"""The ratios that the bench reports."""

import sys
from importlib.metadata import packages_distributions
from pathlib import Path

BENCH = Path(__file__).resolve().parents[3] / "bench"


def rounds(*seconds):
    from matrix import Measured
    from watching import Usage

    return [Measured(Usage(each, 1.0, 100.0, 150.0), each / 2) for each in seconds]


def test_a_goal_compares_medians_without_latency_and_is_met_or_missed():
    from matrix import Case
    from run import goals

    case = Case(10_000)
    cells = {
        ("fanfold", case): rounds(9.0, 30.0, 12.0),
        ("plain2", case): rounds(10.0),
        ("dlt", case): rounds(30.0),
        ("dlt", Case(10_000, 50, 200)): rounds(1.0),
    }
    assert [row[1:] for row in goals(cells)] == [
        ["×1.00", "×1.20", "no"],
        ["×0.55", "×0.40", "yes"],
    ]
    assert goals({("fanfold", case): rounds(9.0)}) == []


def test_no_module_of_the_bench_has_the_name_of_an_installed_package():
    ours = {path.stem for path in BENCH.glob("*.py")}
    assert "watching" in ours
    assert ours & (set(packages_distributions()) | sys.stdlib_module_names) == set()
